"""A vLLM server that this process starts and owns: found, started, watched, and always stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import aiohttp

from synth.engines import guard
from synth.engines.server_log import last_words, read_tail, stage
from synth.errors import EndpointError, UsageError
from synth_kg.sniff import ADVICE, kind_of

Say = Callable[[str], None]
NO_VLLM = (
    "no vLLM found: SYNTH_VLLM_PYTHON names the interpreter of an environment that has it, and "
    "`make vllm` in a checkout builds one for a CPU"
)
PATIENCE = 1800.0
CPU_CACHE = 1 << 30
_OURS = ("--host", "--port", "--model", "--served-model-name", "--api-key", "--uds")
"""Flags that are not the user's to set: the server is this process's own, on a port of its choice."""
_LOOK, _TELL = 0.5, 5.0
"""Seconds between two looks at a server that starts, and between two lines about it."""
_POINTER = 1024
"""Bytes that a Git LFS pointer stays under."""
_MISSED = range(3, 1_000_000, 20)
"""Looks in a row at which nobody took a connection, and at which that is told."""
_HANGS = 30.0
"""Seconds after which a server that runs and does not answer counts as ended."""


def vllm_python() -> Path | None:
    """The interpreter that has vLLM: named by SYNTH_VLLM_PYTHON, in .venv-vllm, or this one.

    Raises:
        UsageError: the variable names something that is not there.
    """
    named = os.environ.get("SYNTH_VLLM_PYTHON")
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise UsageError(f"SYNTH_VLLM_PYTHON={named}: no such file")
        return path
    for folder in (Path.cwd(), Path(__file__).parents[2]):
        home = folder / ".venv-vllm"
        if any(home.glob("lib/python3*/site-packages/vllm/__init__.py")):
            return home / "bin" / "python"
    return Path(sys.executable) if find_spec("vllm") else None


class OwnedServer:
    """One vLLM server on this machine.

    Args:
        model: a folder, or an id of the hub.
        flags: of vLLM, after those that are set here.
        log: the file that takes what the server writes, after what it holds.
        served_name: what requests call the model (default: as it is named here).
        gpu: number of the one GPU that it may use, among those that this process may.
        python: interpreter that has vLLM (default: see `vllm_python`).
        host: address to listen on.
        port: to listen on (default: a free one).
        hidden: names of environment variables that hold secrets; those that end in _API_KEY are kept from it anyway.
    """

    def __init__(
        self,
        model: str,
        flags: Sequence[str],
        *,
        log: Path,
        served_name: str = "",
        gpu: int | None = None,
        python: Path | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        hidden: Iterable[str] = (),
    ) -> None:
        self.model = _expanded(model)
        self.served_name = served_name or model
        self.log = log
        self._held: socket.socket | None = None
        if port is None:
            self._held = _hold(host, 0)
            port = int(self._held.getsockname()[1])
        self.address = (host, port)
        self.base_url = f"http://{host}:{self.address[1]}/v1"
        self._flags = tuple(flags)
        self._gpu = gpu
        self._hidden = frozenset(hidden)
        self._python = python
        self._guard: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._patience = PATIENCE
        self._revived = False
        self._reviving = asyncio.Lock()

    @property
    def alive(self) -> bool:
        """Whether the server runs, be it well or not."""
        return self._guard is not None and _runs(self._guard)

    @property
    def reason(self) -> str:
        """Why the server ended, in the words of its log."""
        return last_words(read_tail(self.log, self._log_start)).rstrip(".")

    async def start(self, say: Say, patience: float = PATIENCE) -> None:
        """Start the server and wait until it answers.

        Args:
            say: is told what goes on, every few seconds.
            patience: seconds that the start may take.

        Raises:
            UsageError: there is no vLLM, no such model, or the port is taken.
            EndpointError: the server ended, or was not ready in time.
        """
        self._patience = patience
        try:
            command = self._command(say)
            self._held = self._held or _hold(*self.address)
            if sys.platform != "linux":  # elsewhere a port that is held cannot be listened on
                self._held.close()
            self._spawn(command)
            say(f"starting vLLM for {self.model}; its log is {self.log}")
            await self._until_ready(say)
        except BaseException:
            await self.stop()
            raise

    async def watch(self, ended: Callable[[], None]) -> None:
        """Look at the server, and tell when it has ended.

        What was asked of one that shuts down, or whose guard was killed, would wait for its time limit.
        """
        async with _session() as session:
            missed = 0
            while True:
                await asyncio.sleep(_LOOK)
                if self._reviving.locked():
                    missed = 0
                    continue
                missed = 0 if self.alive and await self._listens(session) else missed + 1
                if missed in _MISSED:
                    ended()

    async def revive(self, say: Say) -> bool:
        """Start a server that ended once more, on the same port; many may ask at a time.

        Returns:
            Whether the server is there: False if it had been started anew before.

        Raises:
            EndpointError: it does not start again.
        """
        async with self._reviving:
            if await self._answers():
                return True
            if self._revived:
                return False
            self._revived = True
            say(f"vLLM ended ({self.reason}); starting it once more")
            await self._end()
            await self.start(say, self._patience)
            return True

    async def stop(self) -> None:
        """End the server and all its processes: asked first, then killed. Does nothing twice."""
        try:
            await self._end()
        finally:
            held, self._held = self._held, None
            if held is not None:
                held.close()

    async def _end(self) -> None:
        """End the processes, and keep the port."""
        guarded, self._guard = self._guard, None
        if guarded is None:
            return
        try:
            assert guarded.stdin is not None
            guarded.stdin.close()  # which asks
            until = time.monotonic() + guard.GRACE + 2
            while _runs(guarded) and time.monotonic() < until:
                await asyncio.sleep(0.05)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(guarded.pid, signal.SIGKILL)
            guarded.wait()

    def _command(self, say: Say) -> list[str]:
        """What to run; says what it adds."""
        python = check_start(self.model, self._python)
        named = {flag.split("=")[0].replace("_", "-") for flag in self._flags if flag.startswith("--")}
        for flag in _OURS:
            if flag in named:
                raise UsageError(f"{flag}: not a flag for vLLM here, since the server is synth's own")
        extra = _cpu_flags(named) if self._gpu is None and not has_gpu() else []
        if extra:
            say(f"no GPU here: vLLM runs on the CPU, with {' '.join(extra)}")
        host, port = self.address
        command = [str(python), "-m", "vllm.entrypoints.cli.main", "serve", self.model]
        ours = ["--host", host, "--port", str(port), "--served-model-name", self.served_name]
        return [*command, *ours, *extra, *self._flags]

    def _spawn(self, command: Sequence[str]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *command],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=self._environment(),
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        """Ours without its keys: a server that others reach has no business with them."""
        secret = {name for name in os.environ if name.upper().endswith("_API_KEY")} | self._hidden
        kept = {name: value for name, value in os.environ.items() if name not in secret}
        kept |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
        if self._gpu is not None:
            ours = [name for name in kept.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
            kept["CUDA_VISIBLE_DEVICES"] = ours[self._gpu] if self._gpu < len(ours) else str(self._gpu)
        return kept

    async def _until_ready(self, say: Say) -> None:
        began = told = time.monotonic()
        async with _session() as session:
            while not await self._healthy(session):
                now = time.monotonic()
                if not self.alive:
                    raise EndpointError(f"vLLM ended while it started: {self.reason} (log: {self.log})")
                how_far = f"{now - began:.0f} s, {stage(read_tail(self.log, self._log_start))}"
                if now - began > self._patience:
                    raise EndpointError(f"vLLM was not ready in time: {how_far} (log: {self.log})")
                if now - told >= _TELL:
                    told = now
                    say(f"starting vLLM: {how_far}")
                await asyncio.sleep(_LOOK)
        say(f"vLLM is ready after {time.monotonic() - began:.0f} s")

    async def _answers(self) -> bool:
        """Whether the server is well; one that is about to end, or hangs, is given the time to show it."""
        until = time.monotonic() + _HANGS
        async with _session() as session:
            while self.alive and time.monotonic() < until:
                if await self._healthy(session):
                    return True
                await asyncio.sleep(0.1)
        return False

    async def _listens(self, session: aiohttp.ClientSession) -> bool:
        """Whether somebody takes connections there; one that is too busy to answer does."""
        try:
            async with session.get(f"{self.base_url.removesuffix('/v1')}/health") as response:
                return response.status < 500
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError):
            return False
        except (aiohttp.ClientError, OSError, TimeoutError):
            return True

    async def _healthy(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.base_url.removesuffix('/v1')}/health") as response:
                return response.status == 200 and self.alive
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process runs. One that ended keeps its number, unlike with poll(): its group is yet to be killed."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _session() -> aiohttp.ClientSession:
    """Without the proxies of the environment, which have no way to this machine."""
    return aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=5))


def _hold(host: str, port: int) -> socket.socket:
    """Find a port free and keep it, also while the server does not listen yet, or not any more.

    The socket does not listen, so that on Linux the server can bind the same port.
    """
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
    except OSError as error:
        held.close()
        raise UsageError(f"port {port} cannot be used ({error.strerror}): name another") from error
    return held


def check_start(model: str, python: Path | None = None) -> Path:
    """Find out at once what vLLM would say in half a minute.

    Returns:
        The interpreter that has vLLM.

    Raises:
        UsageError: there is no vLLM, or no such model.
    """
    python = python or vllm_python()
    if python is None:
        raise UsageError(NO_VLLM)
    if not python.is_file():
        raise UsageError(f"{python}: no such interpreter")
    _check_model(_expanded(model))
    return python


def _expanded(model: str) -> str:
    return str(Path(model).expanduser()) if model.startswith("~") else model


def _check_model(model: str) -> None:
    path = Path(model)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("config.json", "params.json")):
            raise UsageError(f"{model}: not a model (no config.json in this folder)")
        for weights in (*path.glob("*.safetensors"), *path.glob("*.bin")):
            if weights.stat().st_size < _POINTER and kind_of(weights) == "lfs":
                raise UsageError(f"{weights}: {ADVICE['lfs']}")
    elif not path.exists() and (model.startswith((".", "/")) or model.count("/") > 1):
        raise UsageError(f"{model}: no such model folder")


def has_gpu() -> bool:
    """Whether this machine has a GPU that vLLM may use."""
    return bool(shutil.which("nvidia-smi")) or any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/kfd"))


def _cpu_flags(named: set[str]) -> list[str]:
    """What vLLM needs on a CPU.

    By itself it takes nearly all memory, compiles for a minute, and (0.32.0) dies of a request that
    has a seed and whose prompt is read in chunks: "CPU Generator does not use offset".
    """
    extra = [] if "--kv-cache-memory-bytes" in named else ["--kv-cache-memory-bytes", str(CPU_CACHE)]
    for name in ("enforce-eager", "no-enable-chunked-prefill"):
        if not {f"--{name}", f"--{name.removeprefix('no-')}", f"--no-{name}"} & named:
            extra.append(f"--{name}")
    return extra

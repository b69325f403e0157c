"""The server that a run owns: it starts, tells, is revived once, and never stays behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from synth.cli import main
from synth.engines import server as module
from synth.engines.server import OwnedServer, vllm_python
from synth.engines.server_log import last_words
from synth.errors import EndpointError, UsageError

SECRET = "sk-never-hand-this-on"
SMALL = ("--max-model-len", "2048", "--kv-cache-memory-bytes", "134217728", "--max-num-seqs", "8")
FAKE = """#!{python}
# Takes the place of an interpreter with vLLM: serves /health with a child process beside it, as vLLM has.
import http.server, json, os, signal, subprocess, sys, time
if "--die" in sys.argv:
    sys.exit("(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1] ValueError: not enough of it\\nError: See root cause above.")
if "--hang" in sys.argv:
    time.sleep(600)
if "--deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
engine = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""  # noqa: E501
OWNER = """
import asyncio, sys, pathlib
from synth.engines.server import OwnedServer
async def own():
    server = OwnedServer(sys.argv[1], sys.argv[4:], log=pathlib.Path(sys.argv[2]), python=pathlib.Path(sys.argv[3]))
    await server.start(print)
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(own())
"""


def status(pid: int) -> list[str]:
    """State, parent, group and session of a process; nothing if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return []


def running(place: int, number: int) -> list[int]:
    """Processes with this number at a place of their status: 1 the parent, 3 the session."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    states = ((pid, status(pid)) for pid in pids)
    return sorted(pid for pid, state in states if state and state[0] not in "ZX" and state[place] == str(number))


def session_of(server: OwnedServer) -> int:
    assert server._guard is not None
    return server._guard.pid


def named(session: int, words: str) -> list[int]:
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running(3, session)}
    return [pid for pid, line in lines.items() if words.encode() in line]


def eventually(holds: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def gone(session: int) -> bool:
    """Whether nothing is left of a session; a process that is killed takes a moment to go."""
    return bool(eventually(lambda: not running(3, session), 10))


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    path = tmp_path / "fake-python"
    path.write_text(FAKE.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return str(tmp_path / "model")


def test_a_server_that_dies_says_why_and_leaves_nothing(fake: Path, model: str, tmp_path: Path) -> None:
    async def life() -> None:
        server = OwnedServer(model, ["--die"], log=tmp_path / "logs" / "vllm.log", python=fake)
        with pytest.raises(EndpointError, match="ended while it started: ValueError: not enough of it"):
            await server.start(lambda _: None)
        assert not server.alive
        await server.stop()

    asyncio.run(life())


def test_patience_ends(fake: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TELL", 0.5)
    told: dict[str, int] = {}
    monkeypatch.setattr(module, "has_gpu", lambda: True)

    async def life() -> None:
        server = OwnedServer(model, ["--hang"], log=tmp_path / "vllm.log", python=fake)

        def say(text: str) -> None:
            told[text] = session_of(server)

        with pytest.raises(EndpointError, match=r"not ready in time: 2 s, importing vLLM \(log: "):
            await server.start(say, patience=1.5)

    asyncio.run(life())
    assert "starting vLLM: 1 s, importing vLLM" in told
    assert gone(told["starting vLLM: 1 s, importing vLLM"])


def test_it_is_revived_once_on_its_port(fake: Path, model: str, tmp_path: Path) -> None:
    async def life() -> None:
        server = OwnedServer(model, [], log=tmp_path / "vllm.log", python=fake)
        await server.start(lambda _: None)
        url, first = server.base_url, session_of(server)
        assert await server.revive(lambda _: None)  # it is well
        assert session_of(server) == first
        (top,) = running(1, first)
        os.kill(top, signal.SIGKILL)
        assert await asyncio.gather(*(server.revive(lambda _: None) for _ in range(5))) == [True] * 5
        assert server.base_url == url
        assert session_of(server) != first
        assert gone(first), "the engine of the first server is still there"
        (top,) = running(1, session_of(server))
        os.kill(top, signal.SIGKILL)
        assert not await server.revive(lambda _: None)
        assert "killed by signal 9" in server.reason
        await server.stop()
        await server.stop()

    asyncio.run(life())


def test_it_goes_with_an_owner_that_is_killed(fake: Path, model: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, model, str(tmp_path / "vllm.log"), str(fake)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert "ready\n" in owner.stdout
        (session,) = running(1, owner.pid)
        assert len(running(3, session)) == 3
        owner.kill()
    assert gone(session)


def test_it_goes_with_a_guard_that_is_killed(fake: Path, model: str, tmp_path: Path) -> None:
    async def life() -> int:
        server = OwnedServer(model, [], log=tmp_path / "vllm.log", python=fake)
        await server.start(lambda _: None)
        session = session_of(server)
        (top,) = running(1, session)
        os.kill(session, signal.SIGKILL)
        assert eventually(lambda: top not in running(3, session), 5)
        assert not server.alive
        await server.stop()
        return session

    session = asyncio.run(life())
    assert gone(session)


@pytest.mark.slow
def test_a_server_that_does_not_listen_to_reason_is_killed(fake: Path, model: str, tmp_path: Path) -> None:
    async def life() -> int:
        server = OwnedServer(model, ["--deaf"], log=tmp_path / "vllm.log", python=fake)
        await server.start(lambda _: None)
        session = session_of(server)
        await server.stop()
        return session

    assert gone(asyncio.run(life()))


def test_its_environment_holds_no_key_and_one_gpu(
    fake: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "vendor_api_key"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    server = OwnedServer(model, [], log=tmp_path / "vllm.log", python=fake, gpu=1)
    environment = server._environment()
    asyncio.run(server.stop())
    assert SECRET not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "6"
    assert environment["DO_NOT_TRACK"] == environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["PATH"] == os.environ["PATH"]


def test_on_a_cpu_it_takes_little(fake: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_gpu", lambda: False)
    told: list[str] = []

    def command(flags: list[str], gpu: int | None = None) -> list[str]:
        return OwnedServer(model, flags, log=tmp_path / "l", python=fake, gpu=gpu, port=1)._command(told.append)

    ours = ["--kv-cache-memory-bytes", str(1 << 30), "--enforce-eager", "--no-enable-chunked-prefill"]
    assert command([])[-4:] == ours
    assert " ".join(ours) in told[0]
    own = ["--kv_cache_memory_bytes=5", "--no-enforce-eager", "--enable-chunked-prefill"]
    assert command(own)[-5:] == ["--served-model-name", model, *own]
    assert "--enforce-eager" not in command([], gpu=0)
    assert len(told) == 1


def test_a_port_that_is_taken_is_told(fake: Path, model: str, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = OwnedServer(model, [], log=tmp_path / "l", python=fake, port=other.getsockname()[1])
        with pytest.raises(UsageError, match=r"port \d+ cannot be used \(Address already in use\)"):
            asyncio.run(server.start(lambda _: None))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no default model in this version"),
        (["--model", "./nothing/here"], "no such model folder"),
        (["--model", "."], "no config.json"),
        (["--model", "pointers"], "model.safetensors: this is a Git LFS pointer"),
        (["--model", "m", "--port", "70000"], "1 to 65535"),
        (["--model", "m", "--", "--port", "7"], "not a flag for vLLM here"),
    ],
)
def test_wrong_use_of_serve_is_one_line(
    options: list[str], words: str, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_VLLM_PYTHON", str(fake))
    (tmp_path / "pointers").mkdir()
    (tmp_path / "pointers/config.json").write_text("{}")
    (tmp_path / "pointers/model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert main(["serve", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_run_whose_model_is_not_there_leaves_no_folder(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("SYNTH_VLLM_PYTHON", str(fake))
    out = tmp_path / "r"
    assert main(["generate", "--seed", "kg", "--engine", "vllm", "--model", "./no/model", "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "synth: ./no/model: no such model folder"
    assert not out.exists()


def test_serve_tells_what_a_licence_asks_and_why_it_failed(
    fake: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("SYNTH_VLLM_PYTHON", str(fake))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["serve", "--model", model, "--profile", "baichuan-m1", "--", "--die"]) == 3
    out, err = capfd.readouterr()
    first, *_, last = err.splitlines()
    assert first.startswith("Baichuan-M1-14B-Instruct: Baichuan-M1-14B community licence.")
    assert last.startswith("synth: vLLM ended while it started: ValueError: not enough of it (log: ")
    assert "See root cause above" in err
    assert next(tmp_path.glob("synth-serve-*.log")).stat().st_size
    assert not out


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "usage: main.py [options]\nmain.py: error: unrecognized arguments: --x",
            "main.py: error: unrecognized arguments: --x",
        ),
        (
            "p.ValidationError: 1 validation error for ModelConfig\n  Value error, max_model_len is too much",
            "max_model_len is too much",
        ),
        ("  File 'x', line 1\nMemoryError", "MemoryError"),
        ("python: No module named vllm", "python: No module named vllm"),
        (
            "v.EngineDeadError: EngineCore encountered an issue. See stack trace (above).\nINFO: ok",
            "v.EngineDeadError: EngineCore encountered an issue. See stack trace (above).",
        ),
        ("all is well", "all is well"),
        ("", "the server ended: exit status 1"),
    ],
)
def test_the_last_words_of_a_server(log: str, words: str) -> None:
    assert last_words(f"{log}\nthe server ended: exit status 1\n") == words


def test_the_interpreter_is_found(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / ".venv-vllm/lib/python3.11/site-packages/vllm"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNTH_VLLM_PYTHON", raising=False)
    assert vllm_python() == tmp_path / ".venv-vllm/bin/python"
    monkeypatch.setenv("SYNTH_VLLM_PYTHON", str(fake))
    assert vllm_python() == fake
    monkeypatch.setenv("SYNTH_VLLM_PYTHON", "nowhere/python")
    with pytest.raises(UsageError, match="SYNTH_VLLM_PYTHON=nowhere/python: no such file"):
        vllm_python()


async def chat(server: OwnedServer) -> str:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Fever?"}], "max_tokens": 8, "seed": 1}
    async with aiohttp.ClientSession() as session, session.post(f"{server.base_url}/chat/completions", json=body) as r:
        reply = await r.json()
    text: str = reply["choices"][0]["message"]["content"]
    return text


@pytest.mark.slow
def test_a_real_server_from_its_start_to_its_end(
    tiny_model: Path, one_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    told: list[str] = []

    async def life() -> list[int]:
        server = OwnedServer(str(tiny_model), SMALL, log=tmp_path / "vllm.log", served_name="tiny")
        try:
            await server.start(told.append)
            first = session_of(server)
            assert len(named(first, "VLLM::")) == 2
            for pid in running(3, first):
                assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            said = await chat(server)
            os.kill(running(1, first)[0], signal.SIGKILL)
            assert await server.revive(told.append)
            assert gone(first)
            assert await chat(server) == said
            second = session_of(server)
            os.kill(named(second, "VLLM::EngineCore")[0], signal.SIGKILL)
            assert eventually(lambda: not server.alive, 60), "it goes on without its engine"
            assert not await server.revive(told.append)
        finally:
            await server.stop()
        return [first, second]

    for session in asyncio.run(life()):
        assert gone(session)
    stages = [line.split(", ")[1] for line in told if line.startswith("starting vLLM: ")]
    assert {"importing vLLM", "starting the engine"} <= set(stages)
    assert any("killed by signal 9" in line for line in told)


def start_serve(model: Path, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    errors = folder / "stderr"
    command = [sys.executable, "-m", "synth", "serve", "--model", str(model), "--", *SMALL]
    with errors.open("w") as file:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True), errors


@pytest.mark.slow
def test_serve_ends_on_a_signal(tiny_model: Path, one_server: None, tmp_path: Path) -> None:
    serve, errors = start_serve(tiny_model, tmp_path)
    with serve:
        assert serve.stdout is not None
        url, example = serve.stdout.readline().strip(), serve.stdout.readline()
        assert url.startswith("http://127.0.0.1:"), errors.read_text()
        assert f"--base-url {url} --model {tiny_model.name}" in example
        (session,) = running(1, serve.pid)
        serve.send_signal(signal.SIGINT)
        assert serve.wait(60) == 130
    assert gone(session)
    assert "vLLM is ready after" in errors.read_text()
    assert "Application startup complete" in errors.read_text()


@pytest.mark.slow
def test_a_real_server_goes_with_an_owner_that_is_killed(tiny_model: Path, one_server: None, tmp_path: Path) -> None:
    serve, errors = start_serve(tiny_model, tmp_path)
    with serve:
        (session,) = eventually(lambda: running(1, serve.pid))
        assert eventually(lambda: len(named(session, "VLLM::")) == 2, 300), errors.read_text()
        serve.kill()
    assert gone(session)
    Path(re.findall(r"its log is (\S+)", errors.read_text())[0]).unlink()

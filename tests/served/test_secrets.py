"""A key goes to its server and nowhere else: no file, no database, no line of output, no command line shows it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.served.scribe import SCRIPT, adds_up, command, stored
from tests.served.scripted import ROOT, Scripted

KEY = "sk-planted-0123456789abcdef"
HEADER = "tenant-planted-fedcba9876543210"
PASSWORD = "planted-pass+word"
N = 12

WATCH = '''
"""Writes down whom this process, and every Python that it starts, wants to speak to; refuses all but one."""
import os, socket

_connect, _lookup = socket.socket.connect, socket.getaddrinfo

def _allowed(address):
    with open(os.environ["WATCHED"], "a") as file:
        file.write(f"{address}\\n")
    return isinstance(address, tuple) and f"{address[0]}:{address[1]}" == os.environ["ALLOWED"]

def connect(self, address):
    if not _allowed(address):
        raise OSError(101, "Network is unreachable")
    return _connect(self, address)

def lookup(host, port, *rest, **more):
    if not _allowed((host, port)):
        raise socket.gaierror(-3, "Temporary failure in name resolution")
    return _lookup(host, port, *rest, **more)

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = lookup
'''


def run(
    line: list[str], *, key: str = KEY, watch: Path | None = None, **variables: str
) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """Run a command with the key in its environment; gives what `ps` could have shown of it meanwhile, too."""
    environment = {**os.environ, "OPENAI_API_KEY": key, **variables}
    seen = b""
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as process:
        while process.poll() is None and seen.count(b"\n") < 40:
            seen += b"".join(called(process.pid))
            time.sleep(0.05)
        out, errors = process.communicate()
    return subprocess.CompletedProcess(line, process.returncode, out, errors), seen


def called(pid: int) -> Iterator[bytes]:
    """The command lines of a process and of those that it started."""
    try:
        yield Path(f"/proc/{pid}/cmdline").read_bytes() + b"\n"
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from called(int(child))
    except OSError:
        return  # it ended meanwhile


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a run folder, whatever its name, and every cell of its database, unpacked where it was packed."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
    with closing(sqlite3.connect(folder / "run.db")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in db.execute(f"SELECT * FROM {table}"):
                for cell in row:
                    data = cell if isinstance(cell, bytes) else str(cell).encode()
                    packed = data.startswith(b"\x28\xb5\x2f\xfd")
                    yield table, zstandard.ZstdDecompressor().decompress(data) if packed else data


def clean(folder: Path, found: tuple[subprocess.CompletedProcess[str], bytes], *secrets: str) -> None:
    """Assert that no secret shows in what a run left behind, said, or was called."""
    done, seen = found
    places = [("stdout", done.stdout.encode()), ("stderr", done.stderr.encode()), ("ps", seen), *everything(folder)]
    assert b"synth" in seen, "nothing of the process was seen"
    assert [name for name, data in places for secret in secrets if secret.encode() in data] == []


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_the_server_repeats_is_nowhere(tmp_path: Path, stream: bool) -> None:
    faults = ("500=0.05", "400=0.02", "429=0.02", "cutbody=0.02", "streamerror=0.05")
    with Scripted(
        script=SCRIPT, latency="fixed:20", require_key=KEY, echo_headers=True, faults=faults, retry_after=0.02
    ) as server:
        more = ("--set", f"serving.stream={stream}", "--set", "serving.headers.X-Tenant=$TENANT")
        found = run(command(server.url, tmp_path / "r", N, *more), TENANT=HEADER)
        assert server.stats()["faults"]
    assert found[0].returncode in (0, 1), found[0].stderr
    adds_up(tmp_path / "r", N)
    clean(tmp_path / "r", found, KEY, HEADER)
    replies = [data for name, data in everything(tmp_path / "r") if name == "calls" and b"[redacted]" in data]
    assert len(replies) > N, "the server repeated nothing, so nothing was proved"


@pytest.mark.slow
def test_a_run_that_was_killed_holds_no_key_in_its_log_either(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    with Scripted(script=SCRIPT, latency="fixed:50", require_key=KEY, echo_headers=True) as server:
        environment = {**os.environ, "OPENAI_API_KEY": KEY}
        with subprocess.Popen(command(server.url, folder, 60), env=environment, cwd=ROOT) as process:
            while process.poll() is None and stored(folder) < 30:
                time.sleep(0.01)
            process.kill()
    names = {name for name, _ in everything(folder)}
    assert any(name.endswith("-wal") for name in names), names
    assert [name for name, data in everything(folder) if KEY.encode() in data] == []


@pytest.mark.parametrize("key", ["sk-wrong-0123456789abcdef", ""])
def test_a_server_that_repeats_a_wrong_key_does_not_bring_it_to_light(tmp_path: Path, key: str) -> None:
    with Scripted(script=SCRIPT, require_key=KEY, echo_headers=True) as server:
        found = run(command(server.url, tmp_path / "r", N), key=key)
    assert found[0].returncode == 3
    assert "refuses the credentials (HTTP 401)" in found[0].stderr
    assert "Traceback" not in found[0].stderr
    clean(tmp_path / "r", found, *([key] if key else []), KEY)


def test_a_key_that_is_refused_in_the_middle_of_a_run_is_not_named(tmp_path: Path) -> None:
    with Scripted(script=SCRIPT, echo_headers=True, faults=("401=0.02",), seed=2) as server:
        found = run(command(server.url, tmp_path / "r", 60))
    assert found[0].returncode == 3, found[0].stderr
    assert "refuses the credentials" in found[0].stderr
    clean(tmp_path / "r", found, KEY)


def test_a_password_in_the_address_is_nowhere(tmp_path: Path) -> None:
    with Scripted(script=SCRIPT, echo_headers=True) as server:
        url = server.url.replace("//", f"//user:{PASSWORD}@")
        line = [*command("", tmp_path / "r", N)]
        at = line.index("--base-url")
        del line[at : at + 2]
        found = run(line, key="", OPENAI_BASE_URL=url)
    assert found[0].returncode in (0, 1), found[0].stderr
    assert any(b"Basic [redacted]" in data for _, data in everything(tmp_path / "r")), "it was not even sent"
    clean(tmp_path / "r", found, PASSWORD)


def test_a_traceback_shows_no_key(tmp_path: Path) -> None:
    """Whatever breaks in the middle of a request, the locals of its frames stay out of what is printed."""
    broken = (
        "import sys\n"
        "from synth.engines import client, scheduler\n"
        "def break_(*_): raise RuntimeError('broken')\n"
        "scheduler.read_completion = break_\n"
        "from synth.cli import main\n"
        "sys.exit(main())\n"
    )
    with Scripted(script=SCRIPT, require_key=KEY) as server:
        line = command(server.url, tmp_path / "r", N)
        found = run([line[0], "-c", broken, *line[3:]])
    assert found[0].returncode == 1, found[0].stderr
    assert "RuntimeError: broken" in (tmp_path / "r" / "rejected.jsonl").read_text()
    assert "Traceback" in "".join(path.read_text() for path in (tmp_path / "r" / "logs").iterdir())
    clean(tmp_path / "r", found, KEY)


def test_nobody_but_the_server_is_spoken_to(tmp_path: Path) -> None:
    """The network is cut except for the server, and what was tried is written down."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WATCH)
    watched = tmp_path / "watched"
    watched.touch()
    variables: dict[str, Any] = {"PYTHONPATH": str(tmp_path / "site"), "WATCHED": str(watched)}
    with Scripted(script=SCRIPT) as server:
        allowed = server.url.removeprefix("http://").removesuffix("/v1")
        line = command(server.url, tmp_path / "r", N)
        found = run(line, ALLOWED=allowed, **variables)
        check = run([*line[:3], "verify", str(tmp_path / "r")], ALLOWED="", **variables)
    assert found[0].returncode == 0, found[0].stderr
    assert check[0].returncode == 0, check[0].stderr
    adds_up(tmp_path / "r", N)
    host, port = allowed.split(":")
    assert set(watched.read_text().splitlines()) == {str((host, int(port)))}


def test_the_watch_sees_who_calls_home(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    (tmp_path / "watched").touch()
    variables = {"PYTHONPATH": str(tmp_path), "WATCHED": str(tmp_path / "watched"), "ALLOWED": "127.0.0.1:1"}
    code = "import urllib.request; urllib.request.urlopen('http://192.0.2.1/')"
    found, _ = run([sys.executable, "-c", code], **variables)
    assert found.returncode == 1
    assert "('192.0.2.1', 80)" in (tmp_path / "watched").read_text()

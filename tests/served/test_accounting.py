"""Whole-run accounting: whatever a server does, and whenever we are killed, what was asked for is accounted for.

A few examples by default; `SYNTH_EXAMPLES=200 pytest tests/served/test_accounting.py` looks for longer.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import synth
from synth.driver import Status
from synth.errors import EndpointError
from tests.served.scribe import FILES, SCRIPT, adds_up, command, content, settings
from tests.served.scripted import ROOT, Scripted
from tests.served.scripted_options import FAULTS

EXAMPLES = int(os.environ.get("SYNTH_EXAMPLES", "3"))
STATUSES = ("400", "401", "403", "404", "408", "413", "422", "429", "500", "502", "503")
FATAL = ("401", "403", "404")
"""Statuses that stop a run: the same command goes on."""
LIMITED = hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
    derandomize="SYNTH_EXAMPLES" not in os.environ,
)

SILENT = ("hang", "stall")
"""Faults that cost as long as we wait: rare, so that an example ends."""
mixes = st.dictionaries(
    st.sampled_from([*FAULTS, *(status for status in STATUSES if status not in FATAL)]),
    st.sampled_from([0.02, 0.2]),
    max_size=5,
).map(lambda mix: {kind: min(share, 0.01) if kind in SILENT else share for kind, share in mix.items()})
servers = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "faults": mixes.map(lambda mix: tuple(f"{kind}={share}" for kind, share in mix.items())),
        "max_faults": st.sampled_from([1, 2, 5]),
        "poison": st.sampled_from([0.0, 0.1]),
        "script": st.sampled_from([SCRIPT, SCRIPT.replace("answer", "stubborn"), ""]),
        "latency": st.sampled_from(["0", "lognormal:5:1"]),
        "reasoning": st.sampled_from(["tags", "reasoning_content", "none"]),
        "max_num_seqs": st.sampled_from([2, 256]),
    }
)
clients = st.fixed_dictionaries(
    {
        "serving__concurrency": st.sampled_from([4, 64]),
        "serving__stream": st.booleans(),
        "serving__tries": st.integers(1, 3),
        "served__re_asks": st.integers(0, 2),
        "run__rounds": st.integers(0, 2),
    }
)
QUICK: dict[str, Any] = {
    "serving__timeout": 0.5, "serving__silence": 0.5, "serving__patience": 20, "run__min_yield": 0,
}  # fmt: skip
"""Waits that fit a test; the garbage of a server without a script is no reason to stop."""


def steady(status: Status) -> None:
    """Hold the accounts to each other at every step of the way."""
    funnel = status.funnel
    ended = sum(count.total() for step in funnel.ended.values() for count in step.values())
    assert funnel.accepted + ended == funnel.done <= funnel.asked


def run_through(folder: Path, server: dict[str, Any], client: dict[str, Any], n: int, **more: Any) -> None:
    with Scripted(hang=60, retry_after=0.02, **server) as scripted:
        config = settings(scripted.url, **client, **QUICK)
        for _ in range(20):
            try:
                synth.generate(config, n=n, out=folder, progress=steady, **more)
                return
            except EndpointError:  # a server of which nothing but faults comes; the same command goes on
                if (folder / FILES[2]).is_file():
                    adds_up(folder, n)
    pytest.fail("the run never came to its end")


@pytest.mark.slow
@LIMITED
@given(server=servers, client=clients, n=st.integers(1, 12))
@example(
    server={"seed": 1, "faults": ("429=0.2", "hang=0.05", "drop=0.1", "length=0.1"), "script": SCRIPT},
    client={"serving__concurrency": 8, "serving__tries": 2},
    n=12,
)
def test_accepted_rejected_failed_and_pending_are_what_was_asked(
    server: dict[str, Any], client: dict[str, Any], n: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_through(Path(folder) / "r", server, client, n)
        adds_up(Path(folder) / "r", n)
        assert synth.Run(Path(folder) / "r").funnel["steps"][0]["pending"] == 0


@pytest.mark.slow
@LIMITED
@given(
    server=servers,
    client=clients,
    steps=st.lists(st.tuples(st.integers(1, 8), st.none() | st.integers(1, 40)), min_size=2, max_size=3),
)
def test_it_adds_up_over_attempts_with_limits_and_growing_numbers(
    server: dict[str, Any], client: dict[str, Any], steps: list[tuple[int, int | None]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, n = Path(name) / "r", 0
        for more, limit in steps:
            n += more
            run_through(folder, server, {**client, "serving__max_calls": limit}, n)
            adds_up(folder, n)


@pytest.mark.slow
@hypothesis_settings(LIMITED, max_examples=max(2, EXAMPLES // 3))
@given(
    server=servers.map(lambda server: {**server, "latency": "lognormal:30:0.5"}),
    waits=st.lists(st.floats(0, 1), min_size=1, max_size=2),
)
def test_it_adds_up_after_kills_at_any_moment(server: dict[str, Any], waits: list[float]) -> None:
    n = 12
    with tempfile.TemporaryDirectory() as name, Scripted(hang=60, retry_after=0.02, **server) as scripted:
        folder = Path(name) / "r"
        quick = [f"{key.replace('__', '.')}={value}" for key, value in QUICK.items()]
        line = command(scripted.url, folder, n, *(word for text in quick for word in ("--set", text)))
        for wait in waits:
            with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
                until(lambda: (folder / "run.db").is_file() or process.poll() is not None)
                time.sleep(wait)
                process.kill()
        for _ in range(20):
            try:
                synth.generate(settings(scripted.url, **QUICK), n=n, out=folder, progress=steady)
                break
            except EndpointError:
                continue
        adds_up(folder, n)


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.005)


@pytest.mark.parametrize("status", FATAL)
def test_it_adds_up_when_the_server_turns_us_away(tmp_path: Path, status: str) -> None:
    server = {"script": SCRIPT, "faults": (f"{status}=0.01",), "max_faults": 1, "seed": 3}
    run_through(tmp_path / "r", server, {"serving__concurrency": 4}, 20)
    adds_up(tmp_path / "r", 20)
    with Scripted(script=SCRIPT) as sound:
        synth.generate(settings(sound.url, **QUICK), n=20, out=tmp_path / "usual")
    assert content(tmp_path / "r") == content(tmp_path / "usual")

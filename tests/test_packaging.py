"""The house: what is shipped, what is imported, and what the texts may not say."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "vllm",
    "ray",
    "networkx",
    "transformers",
    "datasets",
    "numpy",
    "fastobo",
    "yaml",
    "jinja2",
    "pydantic",
}


def loaded(code: str) -> set[str]:
    program = f"{code}; import sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_importing_synth_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded("import synth")


def test_a_run_loads_neither_networkx_nor_a_model(tmp_path: Path) -> None:
    code = f"import synth; synth.generate(synth.Config(), n=2, out={str(tmp_path / 'r')!r})"
    assert not {"torch", "vllm", "ray", "networkx", "transformers", "fastobo"} & loaded(code)


def tracked() -> list[Path]:
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("not a git checkout: the sdist is not searched")
    return [ROOT / name for name in found.stdout.split("\n") if name]


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    barred = re.compile(r"/(?:work|home|root|opt)/|pypi\.org|pythonhosted|deb\.debian|registry\.npm|localhost:\d")
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".j2", ".cff"} or path.name in {"Makefile", "run"}:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if path != Path(__file__):
                    assert not barred.search(line), f"{path}:{number}: {line}"


def test_every_bundled_datum_has_its_source_beside_it() -> None:
    assert (ROOT / "kg/synth_kg/tables/README.md").is_file()
    assert (ROOT / "kg/synth_kg/data/README.md").is_file()
    assert "CC0" in (ROOT / "kg/synth_kg/data/README.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith("dist-info")} == {"synth", "synth_kg", "synth_reward"}
    for wanted in (
        "synth/prompts/en/claims/gloss.j2", "synth/configs/kg.yaml", "synth/report/report.html.j2",
        "synth/export/card.md.j2", "synth_kg/tables/typical.tsv", "synth_kg/data/edges.tsv", "synth/py.typed",
        "synth_kg/py.typed", "synth_reward/py.typed",
    ):  # fmt: skip
        assert wanted in names
    assert wheel.stat().st_size < 5_000_000
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own that borrows the dependencies, away from the checkout."""
    home = tmp_path / "env"
    venv.create(home, with_pip=True, system_site_packages=False)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    borrowed = next(path for path in sys.path if path.endswith("site-packages"))
    (next((home / "lib").glob("python*")) / "site-packages" / "borrowed.pth").write_text(borrowed + "\n")
    where = [python, "-c", "import synth; print(synth.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert str(home) in found.stdout
    run = [home / "bin" / "synth", "demo", "-n", "60", "--out", "demo"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "One row in full" in done.stdout
    assert (tmp_path / "demo" / "accepted.jsonl").stat().st_size > 0

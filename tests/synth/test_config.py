"""Configuration: every key known, precedence as documented, files that run as they stand."""

from pathlib import Path

import pytest

from synth.config import Config, fingerprint, load_config, what_changes_rows
from synth.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_the_bundled_configuration_writes_out_the_defaults() -> None:
    assert load_config(ROOT / "configs" / "kg.yaml") == Config()


def test_precedence_flag_setting_file_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synth.yaml").write_text("random_seed: 1\nrun:\n  rounds: 1\n")
    assert load_config().random_seed == 1
    other = tmp_path / "other.yaml"
    other.write_text("random_seed: 2\n")
    assert load_config(other).random_seed == 2
    assert load_config(other).run.rounds == 2
    assert load_config(other, settings=("random_seed=3",)).random_seed == 3
    assert load_config(other, settings=("random_seed=3",), flags={"random_seed": 4}).random_seed == 4
    assert load_config(other, flags={"random_seed": None}).random_seed == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("surprise: 1\n", "unknown key 'surprise'"),
        ("run:\n  round: 1\n", r"unknown key 'run\.round'"),
        ("random_seed: -1\n", "random_seed"),
        ("run: [\n", "not valid YAML"),
        ("- a\n", "mapping"),
        ("mixture:\n  vignette: much\n", r"mixture\.vignette"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_config(path)
    assert "bad.yaml" in str(caught.value)


@pytest.mark.parametrize("setting", ["novalue", "=1", "random_seed.deep=1", "nothing=1"])
def test_a_bad_setting_is_refused(setting: str) -> None:
    with pytest.raises(UsageError):
        load_config(ROOT / "configs" / "kg.yaml", settings=(setting,))


def test_a_missing_file_and_a_binary_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "b.yaml")


def test_the_fingerprint_holds_what_changes_rows_and_nothing_else() -> None:
    def mark(config: Config, **changes: str) -> str:
        return fingerprint({**what_changes_rows(config), "graph": "g", "prompts": "p", "version": "1", **changes})

    base = mark(Config())
    assert mark(Config(random_seed=1)) != base
    assert mark(Config(), graph="h") != base
    assert mark(Config(), prompts="q") != base
    assert mark(Config(), version="2") != base
    assert mark(Config(source=("elsewhere.obo",))) == base  # named by the graph's hash, not its path
    assert mark(Config.model_validate({"run": {"min_yield": 0}})) == base
    assert mark(Config(model=("m",), profile="plain")) == base  # the embedded engine asks no model
    served = mark(Config(engine="openai", model=("m",)))
    assert served != base
    assert mark(Config(engine="openai", model=("n",))) != served
    elsewhere = {"serving": {"base_url": ["elsewhere"], "concurrency": 3, "max_calls": 9}}
    assert mark(Config.model_validate({"engine": "openai", "model": ["m"], **elsewhere})) == served

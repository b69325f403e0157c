"""Model profiles: the bundled ones load and say what a licence asks; a bad file is one clear line."""

from pathlib import Path

import pytest

from synth.errors import UsageError
from synth.profiles import Profile, load_profile, profile_names

ROOT = Path(__file__).parents[2]
LEAST = "name: mine\ntitle: Mine\nreasoning: prompted\n"


def test_the_names_are_those_of_the_files() -> None:
    assert profile_names() == ("baichuan-m1", "baichuan-m2", "local", "plain", "qwen-thinking")
    assert {path.name for path in (ROOT / "configs" / "profiles").iterdir()} == {f"{n}.yaml" for n in profile_names()}


@pytest.mark.parametrize("name", profile_names())
def test_a_bundled_profile_loads_and_states_its_sources(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.license
    assert profile.prices is None  # served on hardware of one's own
    assert all(flag == flag.strip() and flag for flag in profile.serve.flags)
    text = (ROOT / "configs" / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    assert "Sources:" in text.split("\nname:")[0]


def test_without_a_name_the_plain_profile_is_meant() -> None:
    assert load_profile(None) == load_profile("plain")
    assert load_profile(None).license == "not stated"
    assert load_profile(None).commercial is None


@pytest.mark.parametrize("name", profile_names())
def test_a_licence_that_forbids_commercial_use_comes_with_what_it_asks(name: str) -> None:
    profile = load_profile(name)
    if profile.commercial is False:
        assert len(profile.obligations) > 200
        assert "not legal advice" in profile.obligations
    if profile.license == "not stated":
        assert profile.commercial is None


def test_what_the_licence_of_baichuan_m1_asks_is_told() -> None:
    profile = load_profile("baichuan-m1")
    assert profile.commercial is False
    for words in ("written permission", "model derivative", "synthetic data", "copy of the licence", "Baichuan Inside"):
        assert words in " ".join(profile.obligations.split())
    assert "no built-in support" in profile.serve.note
    assert profile.reasoning == "prompted"


def test_baichuan_m2_thinks_and_may_be_used_commercially() -> None:
    profile = load_profile("baichuan-m2")
    assert (profile.license, profile.commercial, profile.obligations) == ("Apache-2.0", True, "")
    assert profile.reasoning == "native"
    assert profile.body["chat_template_kwargs"] == {"thinking_mode": "on"}  # not the boolean of a bare `on`
    assert profile.serve.flags[:2] == ("--reasoning-parser", "qwen3")


@pytest.mark.parametrize(
    ("model", "fitting"),
    [
        ("baichuan-inc/Baichuan-M1-14B-Instruct", ["baichuan-m1"]),
        ("baichuan-inc/Baichuan-M2-32B-GPTQ-Int4", ["baichuan-m2"]),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", ["qwen-thinking"]),
        ("Qwen/QwQ-32B", ["qwen-thinking"]),
        ("gpt-4o", []),
    ],
)
def test_patterns_fit_the_ids_of_their_models(model: str, fitting: list[str]) -> None:
    assert [name for name in profile_names() if load_profile(name).fits(model)] == fitting


def test_a_profile_of_ones_own_is_given_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(LEAST + "lacks: [n, seed]\nprices: {prompt: 0.5, completion: 2}\n")
    profile = load_profile(str(path))
    assert profile.lacks == ("n", "seed")
    assert profile.prices is not None
    assert profile.prices.completion == 2
    assert profile.license == "not stated"
    bare = tmp_path / "mine"
    bare.write_text(LEAST)
    assert load_profile(str(bare)).name == "mine"


@pytest.mark.parametrize("name", ["baichuan", "", "profiles/plain", "Plain"])
def test_an_unknown_name_lists_the_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="baichuan-m1, baichuan-m2, local, plain, qwen-thinking") as caught:
        load_profile(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LEAST + "surprise: 1\n", r"bad\.yaml:4: unknown key 'surprise'"),
        (LEAST + "serve:\n  flag: [x]\n", r"bad\.yaml:5: unknown key 'serve\.flag'"),
        (LEAST + "lacks:\n  - n\n  - wings\n", r"bad\.yaml:6: lacks\.1"),
        (LEAST + "sampling: {temperature: 9}\n", r"bad\.yaml:4: sampling\.temperature"),
        (LEAST + "prices: {prompt: 1}\n", r"bad\.yaml:4: prices\.completion"),
        (LEAST + "structured: xml\n", r"bad\.yaml:4: structured"),
        (LEAST + "commercial: false\n", "obligations"),
        ("name: mine\ntitle: Mine\nreasoning: deep\n", r"bad\.yaml:3: reasoning"),
        ("name: mine\ntitle: Mine\n", r"bad\.yaml:1: reasoning: Field required"),
        ("name: [\n", r"bad\.yaml:\d: not valid YAML"),
        ("name: 2020-99-99\n", "not valid YAML"),
        ("- a\n", "mapping"),
        ("", "mapping"),
    ],
)
def test_a_bad_file_is_named_with_line_and_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_profile(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_binary_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such profile file"):
        load_profile(str(tmp_path / "none.yaml"))
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("b.yaml", "folder.yaml"):
        with pytest.raises(UsageError, match="cannot be read") as caught:
            load_profile(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_profile_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_profile("plain").name = "other"  # type: ignore[misc]
    assert isinstance(load_profile("plain"), Profile)

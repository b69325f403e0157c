"""The prompts of the served engine: both languages whole and alike, nothing given away, the static part first."""

import json
import re
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, meta, nodes

from synth.prompts import Prompts

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "zh")
FILES = {
    "critique", "findings", "knowledge", "question", "reasoning", "reask", "revision", "rules", "styles", "system",
}  # fmt: skip
GENRES = (
    "vignette", "choice", "open", "reverse", "multihop", "compare", "calculation", "explainer", "abstract", "dialogue",
)  # fmt: skip
VARIABLES = {
    "system": set(),
    "styles": set(),
    "knowledge": {"statements"},
    "findings": {"findings"},
    "rules": {"genre", "native", "options", "statements"},
    "question": {"genre", "topic", "draft", "phrases", "verbatim", "style", "options"},
    "reasoning": {"genre", "topic", "question", "options", "statements", "native", "answer"},
    "critique": {"genre", "question", "options", "steps", "response", "findings", "statements"},
    "revision": {"genre", "topic", "question", "options", "statements", "native", "former", "findings", "points"},
    "reask": {"error", "form"},
}
HEADINGS = {"en": ("## Reasoning", "## Answer"), "zh": ("## 推理", "## 答案")}

SAMPLE: dict[str, Any] = {
    "genre": "vignette",
    "topic": "diagnosis",
    "draft": "An adult has had drowsiness for two years. Which diagnosis fits best?",
    "phrases": ["drowsiness"],
    "verbatim": ["A scan of the head is normal."],
    "style": "a note from the emergency department",
    "question": "An adult has been drowsy for two years. Which diagnosis fits best?",
    "options": {"A": "narcolepsy", "B": "hypothyroidism"},
    "statements": [
        SimpleNamespace(id="e1", text="drowsiness points to broken nights"),
        SimpleNamespace(id="e12", text="hypothyroidism can bring drowsiness"),
    ],
    "native": False,
    "answer": None,
    "steps": ["What is asked comes first.", "The answer is A, narcolepsy."],
    "response": "A. narcolepsy. It fits.",
    "former": "## Reasoning\n1. One.\n## Answer\nA. narcolepsy.",
    "findings": [
        SimpleNamespace(place="steps.0", reason="the evidence does not say the claim", quote="broken days"),
        SimpleNamespace(place="options.B", reason="an option is never weighed", quote=""),
        SimpleNamespace(place="response", reason="the response does not give the answer", quote=""),
    ],
    "points": [SimpleNamespace(step=1, problem="It is said twice.", mend="Say it once.")],
    "error": "there is no section '## Answer'",
    "form": "sections",
}


@pytest.fixture(scope="module", params=LANGUAGES)
def prompts(request: pytest.FixtureRequest) -> Prompts:
    return Prompts(ROOT / "prompts", request.param)


def language(prompts: Prompts) -> str:
    return prompts.folder.name


def render(prompts: Prompts, name: str, **changes: Any) -> str:
    """A template with the variables that it should have and no others."""
    fields = {**SAMPLE, **changes}
    if name == "question":
        fields["options"] = list(fields["options"].values()) if fields["options"] else []
    return prompts.render(f"served/{name}.j2", {key: fields[key] for key in VARIABLES[name]})


def variables(env: Environment, folder: Path, name: str) -> set[str]:
    """What a template and those that it includes take."""
    tree = env.parse((folder / name).read_text(encoding="utf-8"))
    included = [found for found in meta.find_referenced_templates(tree) if found]
    return meta.find_undeclared_variables(tree).union(*(variables(env, folder, found) for found in included))


def test_both_languages_have_the_same_files() -> None:
    for code in LANGUAGES:
        assert {path.name for path in (ROOT / "prompts" / code / "served").iterdir()} == {f"{n}.j2" for n in FILES}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_template_takes_these_variables_in_both_languages(prompts: Prompts, name: str) -> None:
    assert variables(prompts.env, prompts.folder, f"served/{name}.j2") == VARIABLES[name]


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("genre", GENRES)
def test_every_template_renders_for_every_genre(prompts: Prompts, name: str, genre: str) -> None:
    for native in (False, True):
        for changes in ({}, {"options": {}, "statements": [], "phrases": [], "verbatim": [], "points": []}):
            text = render(prompts, name, genre=genre, native=native, **changes)
            assert text.strip() or (name == "knowledge" and changes)
            assert not re.search(r"\{[%{#]|[%}#]\}|\n{4,}|Undefined", text)
            assert not re.search(r"\bNone\b(?! of)", text)


@pytest.mark.parametrize("name", ["question", "critique", "revision", "system", "knowledge", "rules", "findings"])
def test_the_answer_reaches_no_other_template(prompts: Prompts, name: str) -> None:
    assert "answer" not in variables(prompts.env, prompts.folder, f"served/{name}.j2")


def test_only_the_conditioning_on_the_answer_shows_the_answer(prompts: Prompts) -> None:
    tree = prompts.env.parse((prompts.folder / "served/reasoning.j2").read_text(encoding="utf-8"))
    every = [node for node in tree.find_all(nodes.Name) if node.name == "answer"]
    under = [
        node
        for branch in tree.find_all(nodes.If)
        if any(found.name == "answer" for found in branch.test.find_all(nodes.Name))
        for node in branch.find_all(nodes.Name)
        if node.name == "answer"
    ]
    assert len(every) == len(under) == 2
    told = render(prompts, "reasoning", answer="A, the told answer")
    untold = render(prompts, "reasoning")
    assert "A, the told answer" in told
    assert told.startswith(untold.rstrip())  # what varies most comes last


@pytest.mark.parametrize("name", ["knowledge", "reasoning", "critique", "revision"])
def test_statements_are_shown_with_their_ids(prompts: Prompts, name: str) -> None:
    text = render(prompts, name)
    assert "<knowledge>\n[e1] drowsiness points to broken nights\n[e12] hypothyroidism can bring drowsiness\n" in text
    assert "<knowledge>\n" not in render(prompts, name, statements=[])


def test_the_writer_of_the_question_sees_no_statement(prompts: Prompts) -> None:
    text = render(prompts, "question")
    assert "statements" not in VARIABLES["question"]
    for part in (SAMPLE["draft"], SAMPLE["style"], "- drowsiness", "- A scan of the head is normal.", "- narcolepsy"):
        assert part in text


@pytest.mark.parametrize("name", ["reasoning", "revision", "reask"])
def test_the_wanted_headings_stand_in_order(prompts: Prompts, name: str) -> None:
    first, second = HEADINGS[language(prompts)]
    text = render(prompts, name)
    assert 0 <= text.index(f"{first}\n1. ") < text.index(f"\n{second}\n")


def test_the_form_of_a_new_reply_is_the_one_asked_for(prompts: Prompts) -> None:
    asked = {form: render(prompts, "reask", form=form, error="it ends too early") for form in ("json", "sections")}
    assert all("it ends too early" in text for text in asked.values())
    assert "JSON" in asked["json"]
    assert "##" not in asked["json"]
    assert "JSON" not in asked["sections"]


@pytest.mark.parametrize(("name", "key"), [("question", "question"), ("critique", "points")])
def test_the_json_that_is_shown_is_valid(prompts: Prompts, name: str, key: str) -> None:
    line = next(line for line in render(prompts, name).splitlines() if line.startswith("{"))
    shown = json.loads(line)
    assert list(shown) == [key]
    if key == "points":
        assert list(shown["points"][0]) == ["step", "problem", "mend"]


def test_places_are_told_as_a_reader_counts(prompts: Prompts) -> None:
    text = render(prompts, "findings")
    step, option = ("step 1", "option B") if language(prompts) == "en" else ("第 1 步", "选项 B")
    assert f"- {step}" in text
    assert f"- {option}" in text
    assert "steps." not in text
    assert "broken days" in text
    assert len(text.splitlines()) == len(SAMPLE["findings"]) + 2


def test_the_long_static_part_comes_first(prompts: Prompts) -> None:
    other = {
        "topic": "pathogen", "question": "Something else?", "draft": "Something else?", "style": "terse",
        "phrases": ["x"], "former": "y", "response": "z", "statements": [SimpleNamespace(id="e1", text="w")],
    }  # fmt: skip
    for name, share in (("reasoning", 0.8), ("revision", 0.7), ("question", 0.7), ("critique", 0.5)):
        one, two = render(prompts, name), render(prompts, name, **other)
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
        assert alike > share * min(len(one), len(two))
    shared = render(prompts, "rules")
    assert render(prompts, "reasoning").startswith(shared.rstrip())
    assert render(prompts, "revision").startswith(shared.rstrip())


def test_without_statements_no_citation_is_asked_for(prompts: Prompts) -> None:
    cited, free = render(prompts, "reasoning"), render(prompts, "reasoning", statements=[])
    assert "[e2][e5]" in cited
    assert "[e2]" not in free


def test_styles_are_one_a_line_and_ask_for_no_fact(prompts: Prompts) -> None:
    styles = prompts.lines("served/styles", {})
    assert 10 <= len(styles) <= 16
    assert len(set(styles)) == len(styles)
    assert all(style == style.strip() and not re.search(r"\d|[{}]", style) for style in styles)
    assert len(styles) == len(Prompts(ROOT / "prompts", "en").lines("served/styles", {}))


def test_the_chinese_prompts_ask_for_the_english_names(prompts: Prompts) -> None:
    if language(prompts) == "en":
        return
    for name in ("system", "reasoning", "revision", "question"):
        assert "英文" in render(prompts, name)
        assert "括号" in render(prompts, name)

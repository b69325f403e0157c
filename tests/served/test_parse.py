"""What a model wrote is read whole or refused with words that tell it what is wrong; nothing else happens."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synth.engines.calls import Choice, Malformed
from synth.engines.parse import Written, read_json, read_sections, read_unsupported

SCHEMA = {
    "type": "object",
    "required": ["points"],
    "properties": {
        "points": {
            "type": "array",
            "maxItems": 2,
            "items": {
                "type": "object",
                "required": ["step", "problem"],
                "properties": {"step": {"type": "integer"}, "problem": {"type": "string"}},
            },
        }
    },
}
POINT = '{"step": 1, "problem": "vague"}'
GOOD = f'{{"points": [{POINT}]}}'
READ = {"points": [{"step": 1, "problem": "vague"}]}


def said(text: str, finish: str = "stop") -> Choice:
    return Choice(text, "", finish)


def sections(body: str, answer: str = "B. Malaria.") -> Written:
    return read_sections(said(f"## Reasoning\n{body}\n\n## Answer\n{answer}"))


def claims(body: str) -> list[tuple[str, str]]:
    """Every claim as its text and its ids."""
    return [(claim.text, " ".join(claim.evidence)) for step in sections(body).steps for claim in step.claims]


# -- JSON


@pytest.mark.parametrize(
    "text",
    [
        GOOD, f"\n {GOOD} \n", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```\n",
        GOOD.replace(", ", ",\n\t"), GOOD.replace(": ", ":\r\n"),
    ],
)  # fmt: skip
def test_json_is_read_also_from_a_fence(text: str) -> None:
    assert read_json(said(text), SCHEMA) == READ


def test_control_characters_in_a_string_are_spaces() -> None:
    found = read_json(said('{"points": [{"step": 1, "problem": "a\nb\tc\x00d\x1fe"}]}'), SCHEMA)
    assert found["points"][0]["problem"] == "a b c d e"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it is empty"),
        ("```json\n\n```", "it is empty"),
        ("{", "it is not valid JSON"),
        (GOOD[: len(GOOD) // 2], "it is not valid JSON"),
        (f"Sure! Here it is:\n```json\n{GOOD}\n```", "it is not valid JSON"),
        (GOOD + GOOD, "it is not valid JSON"),
        ("[" * 5000, "it is not valid JSON"),
        ('{"a": "\ud800"}', "it is not valid JSON"),
        ("[]", "the reply is not of type object"),
        ("null", "the reply is not of type object"),
        ("{}", "the reply lacks 'points'"),
        ('{"points": [], "more": 1}', "the reply has the unknown key 'more'"),
        ('{"points": {}}', "'points' is not of type array"),
        ('{"points": [1]}', "an item of 'points' is not of type object"),
        ('{"points": [{"step": 1}]}', "an item of 'points' lacks 'problem'"),
        ('{"points": [{"step": true, "problem": "a"}]}', "'step' is not of type integer"),
        ('{"points": [{"step": 1.5, "problem": "a"}]}', "'step' is not of type integer"),
        ('{"points": [{"step": "1", "problem": "a"}]}', "'step' is not of type integer"),
        ('{"points": [{"step": 1, "problem": null}]}', "'problem' is not of type string"),
        ('{"points": [{"step": 1, "problem": " "}]}', "'problem' is empty"),
        (f'{{"points": [{POINT}, {POINT}, {POINT}]}}', "'points' has too many items"),
    ],
)
def test_json_of_another_form_is_told_what_is_wrong(text: str, error: str) -> None:
    with pytest.raises(Malformed) as found:
        read_json(said(text), SCHEMA)
    assert str(found.value) == error and found.value.form == "json"


def test_json_that_was_cut_off_is_refused_even_if_it_parses() -> None:
    with pytest.raises(Malformed, match="cut off"):
        read_json(said(GOOD, "length"), SCHEMA)


@given(st.text() | st.text('{}[]":,0123456789truefalsn \n`\\'), st.sampled_from(["stop", "length", ""]))
@example("```json\n```", "stop")
@example("\ud800", "stop")
def test_json_of_any_text_is_read_or_malformed(text: str, finish: str) -> None:
    only_malformed(lambda: read_json(said(text, finish), SCHEMA))


# -- sections


def test_sections_in_english() -> None:
    written = sections("1. It is hot here [e1].\n2. So the tap drips [e2, e3]. That is all.", "B. Tap.\n\nIt drips.")
    assert [step.text for step in written.steps] == ["It is hot here.", "So the tap drips. That is all."]
    assert [[(c.text, c.evidence) for c in step.claims] for step in written.steps] == [
        [("It is hot here.", ("e1",))],
        [("So the tap drips.", ("e2", "e3"))],
    ]
    assert written.response == "B. Tap.\n\nIt drips."


def test_sections_in_chinese() -> None:
    text = "## 推理\n1. 天气很热 [e1]。因此水龙头滴水[e2][e3]。\n2．没有别的原因。\n\n## 答案\nB。水龙头（a tap）。"
    written = read_sections(said(text))
    assert [step.text for step in written.steps] == ["天气很热。 因此水龙头滴水。", "没有别的原因。"]
    assert [(c.text, c.evidence) for c in written.steps[0].claims] == [
        ("天气很热。", ("e1",)),
        ("因此水龙头滴水。", ("e2", "e3")),
    ]
    assert written.response.startswith("B。")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("1. A is so [e1].", [("A is so.", "e1")]),
        ("1. A is so. [e1]", [("A is so.", "e1")]),
        ("1. A is so.[e1] B is not [e2].", [("A is so.", "e1"), ("B is not.", "e2")]),
        ("1. A is so [e1] [e2].", [("A is so.", "e1 e2")]),
        ("1. A is so [e1][e2].", [("A is so.", "e1 e2")]),
        ("1. A is so. [e1] [e2] B is not.", [("A is so.", "e1 e2")]),
        ("1. A is so [e1, e2; e12].", [("A is so.", "e1 e2 e12")]),
        ("1. A is so [ e1 ,e2 ].", [("A is so.", "e1 e2")]),
        ("1. A is so [e1\uff0ce2\u3001e3].", [("A is so.", "e1 e2 e3")]),
        ("1. A is so \u3010e1\u3011.", [("A is so.", "e1")]),
        ("1. A [e1] is so [e1].", [("A is so.", "e1")]),
        ("1. A is so, [e1] and B too.", [("A is so, and B too.", "e1")]),
        ("1. Is A so [e1]? Yes! [e2]", [("Is A so?", "e1"), ("Yes!", "e2")]),
        ("1. A. 38 of B [e1].", [("A. 38 of B.", "e1")]),
        ("1. **A** is `so` [e1].", [("A is so.", "e1")]),
        ("1. A:\n   - is so [e1].\n   * is B [e2].", [("A: is so. is B.", "e1 e2")]),
        ("1. A\nis so\n[e1].", [("A is so.", "e1")]),
    ],
)
def test_citations_leave_the_text_and_stay_with_their_sentence(body: str, found: list[tuple[str, str]]) -> None:
    assert claims(body) == found


def test_a_bare_citation_is_no_claim() -> None:
    assert claims("1. A is so [e1].\n2. [e2]") == [("A is so.", "e1")]
    assert len(sections("1. A is so [e1].\n2. [e2]").steps) == 1


@pytest.mark.parametrize(
    "body",
    [
        "1. A [e1].\n2. B.", "1) A [e1].\n2) B.", "Step 1: A [e1].\nStep 2: B.", "**1.** A [e1].\n**2.** B.",
        "**Step 1:** A [e1].\n**Step 2:** B.", "  1.  A [e1].\n\n\n  2.  B.", "1\u3001A [e1].\n2\u3001B.",
        "A [e1].\n\nB.", "A\n[e1].\n \nB.", "1. A [e1].\r\n2. B.\r\n",
    ],
)  # fmt: skip
def test_steps_are_numbered_or_paragraphs(body: str) -> None:
    assert [step.text for step in sections(body).steps] == ["A.", "B."]


@pytest.mark.parametrize("number", ["2.5 mg", "10:30", "12.000"])
def test_a_number_at_the_beginning_of_a_line_is_no_step(number: str) -> None:
    assert claims(f"It was\n{number} in the end [e1].") == [(f"It was {number} in the end.", "e1")]
    assert claims(f"1. It was\n{number} in the end [e1].") == [(f"It was {number} in the end.", "e1")]


def test_a_number_without_a_leading_zero_keeps_its_space() -> None:
    assert claims("1. It was .5 mg [e1] .") == [("It was .5 mg.", "e1")]


def test_what_stands_before_the_first_number_is_kept_if_it_cites() -> None:
    assert [step.text for step in sections("A [e1].\n1. B [e2].").steps] == ["A.", "B."]
    assert [step.text for step in sections("Let us see:\n1. B [e2].").steps] == ["B."]


@pytest.mark.parametrize(
    "heading",
    ["## Reasoning", "# REASONING", "### Reasoning:", "## **Reasoning**", "## **Reasoning:**", "  ## Reasoning  ",
     "##Reasoning", "## 推理", "## 推理\uff1a", "## Reasoning\r"],
)  # fmt: skip
def test_ways_to_write_a_heading(heading: str) -> None:
    answer = re.sub("reasoning", "Answer", heading.replace("推理", "答案"), flags=re.I)
    written = read_sections(said(f"Well.\n{heading}\n1. A [e1].\n{answer}\nB."))
    assert (written.steps[0].text, written.response) == ("A.", "B.")


def test_a_heading_within_a_sentence_is_none() -> None:
    with pytest.raises(Malformed, match="no section '## Answer'"):
        read_sections(said("## Reasoning\n1. A [e1]. See ## Answer\n"))


def test_unknown_headings_leave_their_words_only() -> None:
    written = sections("### What we know\n1. A [e1].\n#### Weighing\n2. B [e2].", "C.\n\n## Note\nD.")
    assert [step.text for step in written.steps] == ["A. Weighing", "B."]
    assert "#" not in written.response and written.response == "C.\n\nNote D."


def test_the_first_reasoning_and_the_last_answer_count() -> None:
    text = "## Answer\nX.\n## Reasoning\n1. A [e1].\n## Answer\nB."
    written = read_sections(said(text))
    assert (written.steps[0].text, written.response) == ("A.", "B.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no reasoning section"),
        ("I cannot help with that.", "it has no reasoning section"),
        ("## Conclusion\nB.", "it has no reasoning section"),
        ("## Answer\nB.", "it has no reasoning section"),
        ("## Reasoning\n\n## Answer\nB.", "it has no reasoning section"),
        ("## Reasoning\n1. A [e1].", "it has no answer section"),
        ("## Reasoning\n1. A [e1].\n## Answer\n \n", "it has no answer section"),
        ("## Reasoning\n1. A.\n## Answer\nB [e1].", "no step cites a statement by its id"),
        ("## Reasoning\n1. A [1].\n## Answer\nB.", "no step cites a statement by its id"),
    ],
)
def test_what_has_not_both_sections_and_a_citation_is_told_so(text: str, reason: str) -> None:
    with pytest.raises(Malformed) as found:
        read_sections(said(text))
    assert found.value.reason == reason and found.value.form == "sections"


def test_sections_that_were_cut_off_are_refused() -> None:
    with pytest.raises(Malformed, match="cut off"):
        read_sections(said("## Reasoning\n1. A [e1].\n## Answer\nB.", "length"))


def test_a_writer_without_evidence_has_nothing_to_cite() -> None:
    written = read_unsupported(said("## Reasoning\n1. A.\n## Answer\nB."))
    assert [step.text for step in written.steps] == ["A."] and not written.steps[0].claims
    assert claims("1. A [e1].") == [("A.", "e1")]
    with pytest.raises(Malformed, match="no section"):
        read_unsupported(said("A."))


PARTS = st.sampled_from(
    ["## Reasoning", "## Answer", "## 推理", "## 答案", "\n", "\n\n", "1. ", "2) ", "Step 3: ", "A", "。", ". ", "[e1]",
     "[e2, e3]", "\u3010e1\u3011", "[e", "]", "**", "- ", "#", " ", "\r", "\u2028", "2.5", "K", "\u0131", "\ud800"]
)  # fmt: skip
JOINED = st.lists(PARTS).map("".join)
TEXTS = st.text() | JOINED | JOINED.map("## Reasoning\n{}\n## Answer\nB".format)


@given(TEXTS, st.sampled_from(["stop", "length"]))
def test_any_text_is_sections_or_malformed(text: str, finish: str) -> None:
    only_malformed(lambda: read_sections(said(text, finish)))
    only_malformed(lambda: read_unsupported(said(text, finish)))


@given(TEXTS)
def test_no_claim_keeps_its_id_and_every_claim_has_one(text: str) -> None:
    written = only_malformed(lambda: read_sections(said(text)))
    for step in written.steps if written else ():
        assert step.text == step.text.strip() != ""
        assert all(claim.text and claim.evidence for claim in step.claims)
        assert not re.search(r"\[e\d+\]", step.text)


@pytest.mark.parametrize("run", ["\n", " ", "\n ", "#", "*", "[e1,", ". ", "1. ", "`", "- ", "\u3010e1"])
def test_a_model_that_runs_on_costs_no_time(run: str) -> None:
    texts = [
        f"## Reasoning\n1. A [e1].{run * 20_000}x\n## Answer\nB.",
        f"## Reasoning{run * 20_000}x",
        f"## Reasoning\n{run * 20_000}1. A [e1].\n## Answer\nB.{run * 20_000}x",
        run * 20_000,
    ]
    start = time.process_time()
    for text in texts:
        only_malformed(partial(read_sections, said(text)))
        only_malformed(partial(read_json, said(text), SCHEMA))
    assert time.process_time() - start < 2


def only_malformed(read: Callable[[], Any]) -> Any:
    """What is read, or None if it is malformed; any other error is one."""
    try:
        return read()
    except Malformed as error:
        assert str(error) and error.reason
        return None

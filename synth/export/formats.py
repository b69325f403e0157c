"""One function a format: from a row to the object that a trainer reads.

Field names follow the readers: TRL's conversational language modeling and prompt-completion
types, ShareGPT conversations, Alpaca instructions. Reasoning goes into <think> tags before
the response, or into `reasoning_content` (a message's) or `reasoning` (a row's). Each object
keeps the row's id, under which its proof is found, and its licence.
"""

from __future__ import annotations

from typing import Any

from synth.sample import Sample


def prompt(sample: Sample) -> str:
    """What the user says: the question and its options."""
    options = "".join(f"\n{letter}. {text}" for letter, text in (sample.options or {}).items())
    return f"{sample.question}\n{options}" if options else sample.question


def reply(sample: Sample, think: str) -> str:
    """What the assistant says: with think tags, its reasoning first."""
    return f"<think>\n{sample.reasoning}\n</think>\n\n{sample.response}" if think == "tags" else sample.response


def _origin(sample: Sample) -> dict[str, Any]:
    """Where the row's proof is found, and the licence that it carries."""
    return {"id": sample.id, "license": sample.license}


def _assistant(sample: Sample, think: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply(sample, think)}
    return message if think == "tags" else {**message, "reasoning_content": sample.reasoning}


def _own_field(sample: Sample, think: str) -> dict[str, Any]:
    return {} if think == "tags" else {"reasoning": sample.reasoning}


def messages(sample: Sample, think: str) -> dict[str, Any]:
    """`{"messages": [{"role", "content"}, ...]}`."""
    user = {"role": "user", "content": prompt(sample)}
    return {**_origin(sample), "messages": [user, _assistant(sample, think)]}


def prompt_completion(sample: Sample, think: str) -> dict[str, Any]:
    """`{"prompt": [message], "completion": [message]}`: loss on the completion only."""
    user = {"role": "user", "content": prompt(sample)}
    return {**_origin(sample), "prompt": [user], "completion": [_assistant(sample, think)]}


def sharegpt(sample: Sample, think: str) -> dict[str, Any]:
    """`{"conversations": [{"from", "value"}, ...]}`."""
    turns = [{"from": "human", "value": prompt(sample)}, {"from": "gpt", "value": reply(sample, think)}]
    return {**_origin(sample), "conversations": turns, **_own_field(sample, think)}


def alpaca(sample: Sample, think: str) -> dict[str, Any]:
    """`{"instruction", "input", "output"}`."""
    return {
        **_origin(sample),
        "instruction": prompt(sample),
        "input": "",
        "output": reply(sample, think),
        **_own_field(sample, think),
    }

"""Single items in full: prompt, log-likelihood of each choice, answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.errors import MALFORMED
from harness.records.items import damaged_file
from harness.records.older_layouts import iterate_lines
from harness.records.results_file import TaskRun

_RATIONALES = ("rationale", "explanation", "solution")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One item of one run.

    Attributes:
        doc_hash: Digest of the document.
        prompt: The prompt; the first if there are several.
        choices: Texts of the choices; empty for a generation.
        log_likelihoods: One per choice, in nats; empty for a generation.
        text: The generated text; empty for choices.
        answer: The answer that the filter read, or the text of the chosen choice.
        read_from: The words of `text` that state the answer, and the rule that found them; empty if not recorded.
        chosen: Position of the most likely choice; None for a generation.
        key: Position of the right choice; None if unknown.
        target: The expected answer, as text if that is known.
        rationale: The data set's explanation; empty if there is none.
        continuations: Scored text of each choice, as it was sent; empty for a generation.
        span: Where the statement of the answer stands in `text`, half open, in characters; None if not recorded.
    """

    doc_hash: str
    prompt: str
    choices: tuple[str, ...]
    log_likelihoods: tuple[float, ...]
    text: str
    answer: str
    read_from: str
    chosen: int | None
    key: int | None
    target: str
    rationale: str
    continuations: tuple[str, ...] = ()
    span: tuple[int, int] | None = None


def read_samples(run: TaskRun, doc_hashes: Collection[str]) -> dict[str, Sample]:
    """Return the items with these digests under the run's headline filter; for duplicates, the first in the file.

    Raises:
        RecordError: A line lacks what a sample holds; the error names file and line.
    """
    filter_name = run.metric.partition(",")[2]
    samples: dict[str, Sample] = {}
    digests = (digest.decode() for digest in run.items.doc_hash.tolist())
    for number, (line, key) in enumerate(zip(iterate_lines(run.samples_file), digests, strict=False), start=1):
        if key not in doc_hashes or key in samples:
            continue
        with _as_damage(run, number):
            row = json.loads(line)
            if row.get("filter", "none") == filter_name:
                samples[key] = sample_of(key, row, run.think_end)
    return samples


def iterate_samples(run: TaskRun) -> Iterator[tuple[Mapping[str, Any], Sample]]:
    """Yield each row of a run's samples file as it is in the file, and as a sample, in the file's order.

    Raises:
        RecordError: A line lacks what a sample holds; the error names file and line.
    """
    for number, line in enumerate(iterate_lines(run.samples_file), start=1):
        with _as_damage(run, number):
            row = json.loads(line)
            pair = row, sample_of(str(row["doc_hash"]), row, run.think_end)
        yield pair


@contextmanager
def _as_damage(run: TaskRun, line: int) -> Iterator[None]:
    """Turn what reading a malformed line raises into an error that names file and line."""
    try:
        yield
    except MALFORMED as error:
        problem = f"lacks {error.args[0]}" if isinstance(error, KeyError) else "is no sample"
        raise damaged_file(run.samples, f"line {line} {problem}") from None


def sample_of(digest: str, row: Mapping[str, Any], think_end: str = "") -> Sample:
    """Return the item of a parsed line.

    Args:
        digest: Digest of its document.
        row: The line.
        think_end: Closing tag of the model's reasoning; empty if it has none.

    Raises:
        Exception: One of `MALFORMED`, if the line is no sample.
    """
    doc = row["doc"] if isinstance(row["doc"], dict) else {}
    requests = [[str(part) for part in request.values()] for request in row["arguments"].values()]
    likelihoods = _log_likelihoods(row["filtered_resps"]) if len(requests) > 1 else ()
    choices = _choices(doc, requests) if likelihoods else ()
    key = _key(doc, row.get("target"), choices)
    chosen = max(range(len(likelihoods)), key=likelihoods.__getitem__) if likelihoods else None
    text = "" if likelihoods else _text(row["resps"])
    answer, read_from, span = _extracted(_text(row["filtered_resps"]), text, _scored_from(text, think_end))
    return Sample(
        doc_hash=digest,
        prompt=requests[0][0] if requests else "",
        choices=choices,
        log_likelihoods=likelihoods,
        text=text,
        answer=choices[chosen] if chosen is not None else answer,
        read_from=read_from,
        chosen=chosen,
        key=key,
        target=choices[key] if key is not None else str(row.get("target", "")),
        rationale=next((str(doc[name]) for name in _RATIONALES if doc.get(name)), ""),
        continuations=tuple(request[-1] for request in requests) if likelihoods else (),
        span=span,
    )


def _log_likelihoods(responses: Sequence[Any]) -> tuple[float, ...]:
    """One number per choice; empty if the answers are not log-likelihoods."""
    try:
        return tuple(float(response[0]) for response in responses)
    except (TypeError, ValueError, IndexError):
        return ()


def _choices(doc: Mapping[str, Any], requests: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The document's choices; else the continuations, or the ends of the prompts if all continuations are equal."""
    own = doc.get("choices")
    if isinstance(own, list) and len(own) == len(requests):
        return tuple(str(choice) for choice in own)
    continuations = tuple(request[-1].strip() for request in requests)
    return continuations if len(set(continuations)) > 1 else tuple(request[0][-200:] for request in requests)


def _key(doc: Mapping[str, Any], target: object, choices: Sequence[str]) -> int | None:
    """The position of the right choice, from its number, text or letter."""
    for value in (doc.get("gold"), target):
        key = str(value).strip()
        if key.isdecimal() and int(key) < len(choices):
            return int(key)
    text = str(target).strip()
    if choices.count(text) == 1:
        return choices.index(text)
    letter = "ABCDEFGHIJ".find(text) if len(text) == 1 else -1
    return letter if 0 <= letter < len(choices) else None


def _text(responses: Any) -> str:
    while isinstance(responses, list) and responses:
        responses = responses[0]
    return str(responses) if not isinstance(responses, list) else ""


def _scored_from(text: str, think_end: str) -> int:
    """Return where the scored part of a generated text starts: after the reasoning and the spaces that follow it.

    The text is recorded whole, but filters get its end only, so their spans count from there::

        <think>It is 4.</think>  The answer is 4.
                                 ^ 0 of a span
    """
    at = text.rfind(think_end) if think_end else -1
    if at < 0:
        return 0
    end = at + len(think_end)
    return end + len(text[end:]) - len(text[end:].lstrip())


def _extracted(response: str, text: str, start: int) -> tuple[str, str, tuple[int, int] | None]:
    """The answer in a response such as ``{"value": "C", "span": [21, 34], "rule": "answer"}``, and where it stood.

    Args:
        response: The response of a filter.
        text: The generated text.
        start: Position in the text from which the span counts.
    """
    if not response.startswith('{"value": '):
        return response, "", None
    try:
        read = json.loads(response)
        span = start + int(read["span"][0]), start + int(read["span"][1])
        words = f"“{text[slice(*span)].strip()}”, rule {read['rule']}"
        return str(read["value"]), words, span
    except MALFORMED:
        return response, "", None

"""The letter of an option as the final answer of a text.

extract_letter("Copper conducts, so (A) is out. The answer is **(B)**.", "ABCD")
# Extracted(value="B", span=(32, 52), rule="answer")
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.suite.extraction import letter_rules as rules
from harness.suite.extraction.claims import Claim, stance, standing_claim
from harness.suite.extraction.extracted import Extracted
from harness.suite.extraction.options import (
    MENTION,
    alternatives,
    ends_here,
    is_word,
    letters_of,
    own_letters,
    stands_alone,
)
from harness.suite.extraction.text import MARKUP, clause_before, last_line, last_sentence, read, sentence_at

_MAX_OPTION_CHARACTERS = 80


def extract_letter(text: str, letters: str | Sequence[str]) -> Extracted | None:
    """Return the one option that `text` gives as its final answer; None if there is none or it is not in `letters`."""
    reading = read(text, MARKUP)
    claim = standing_claim(reading.text, _with_closing(reading.text, list(_claims(reading.text))))
    if claim is None:
        return None
    (value,) = claim.values
    return Extracted(value, reading.span(claim.start, claim.end), claim.rule) if value in letters else None


def _claims(text: str) -> Iterator[Claim]:
    yield from _line_claims(text)
    for cue in (*rules.STATED, *rules.JUDGED):
        for match in cue.pattern.finditer(text):
            yield from _claim(text, match, cue.rule)
    for match in rules.BRACKETED_END.finditer(text):
        if len(letters_of(match[0])) == 1:
            yield from _claim(text, match, "conclusion")
    for cue in rules.REJECTED:
        for match in cue.pattern.finditer(text):
            values = letters_of(match["group"])
            sentence = text[sentence_at(text, match.start())[0] : match.start()]
            if values and not rules.REASON.search(sentence):
                yield Claim(start=match.start(), end=match.end(), values=values, rule=cue.rule, stance="negated")


def _claim(text: str, match: re.Match[str], rule: str) -> Iterator[Claim]:
    judged = rule == "judgement"
    start, end = match.span("group")
    values, end = own_letters(text, start, end)
    if not values or (end == match.end() and not ends_here(text, end)):
        return
    if rule in ("correct", "judgement") and rules.WRONG_THING.search(text, match.start(), start):
        return  # "the option that is wrong is B": the question decides what that means
    if len(values) > 1 and not judged and rules.REVIEWED.match(text, end):
        return
    meant = stance(text, match.start(), start, end)
    if re.match(r"(?i)neither|none", match["group"]) or rules.REJECTION.match(text, end):
        meant = "negated" if meant else None
    if meant == "affirmed" and not judged:
        values |= alternatives(text, end)
    if len(values) > 1 and meant == "affirmed":
        meant = "open"
    if meant:
        whole = max(end, match.end()) if judged or match.end("group") == end else end
        yield Claim(start=match.start(), end=whole, values=values, rule=rule, stance=meant, judged=judged)


def _with_closing(text: str, claims: list[Claim]) -> list[Claim]:
    """Add the claim of the last sentence, if no rule found a statement before or anything there."""
    closing = list(_closing_claims(text))
    start = closing[0].start if closing else len(text)
    is_read = any(claim.stance != "negated" and (not claim.judged or claim.end > start) for claim in claims)
    return claims if is_read else claims + closing


def _closing_claims(text: str) -> Iterator[Claim]:
    """The only option in the last clause that names one, if its sentence concludes: "A being out, that would be C."."""
    start, end = last_sentence(text)
    mentions = [match for match in MENTION.finditer(text, start, end) if not is_word(text, *match.span())]
    if not mentions:
        return
    last = mentions[-1]
    clause_start = last.start() - len(clause_before(text, last.start()))
    mentions = [match for match in mentions if match.start() >= clause_start]
    values = frozenset[str]().union(*(letters_of(match[0]) for match in mentions))
    finished = text[:end].rstrip()[-1] in ".。!" or not text[last.end() : end].strip(" )\"'")
    if len(values) != 1 or not finished or not all(stands_alone(text, *match.span()) for match in mentions):
        return
    around = MENTION.sub(" _ ", text[start:end])
    concludes = rules.CLOSING.search(around) and not rules.NEXT_STEP.search(around)
    meant = stance(text, last.start(), last.start(), last.end())
    if meant and concludes and not rules.WRONG_THING.search(MENTION.sub(" _ ", text[clause_start:end])):
        yield Claim(start=last.start(), end=last.end(), values=values, rule="conclusion", stance=meant)


def _line_claims(text: str) -> Iterator[Claim]:
    """A letter, or an option with its text, that is the last line or the first one before an explanation."""
    first, blank, rest = text.lstrip().partition("\n\n")
    if blank and rest.strip() and not rules.OPTION_LINE.search(rest) and not rules.UNFILLED.search(rest):
        start = len(text) - len(text.lstrip())
        for claim in _line(text, start, start + len(first.rstrip())):
            yield replace(claim, judged=True)
    start, end = last_line(text)
    before = text[:start]
    if rules.OPTION_LINE.match(before.rstrip().rpartition("\n")[2]):
        return  # the last of the options, repeated from the question
    sentence_start = max(start, text.rfind(" ", 0, end) + 1)
    if rules.LONE.fullmatch(text, start, end):
        yield from _line(text, start, end)
    elif sentence_start > start and rules.LONE_SENTENCE.search(text[start:end]):
        yield from _line(text, sentence_start, end)
    elif not before.strip() or before.endswith("\n\n"):
        yield from _line(text, start, end)


def _line(text: str, start: int, end: int) -> Iterator[Claim]:
    line = text[start:end]
    match = rules.LONE.fullmatch(line)
    if match and (match[1].isupper() or match[1] not in "ai" or len(line) > 1):
        yield Claim(start=start, end=end, values=frozenset(match[1].upper()), rule="line")
    match = rules.LONE_WITH_TEXT.fullmatch(line) if len(line) <= _MAX_OPTION_CHARACTERS else None
    if match and not rules.OPTION.search(line, 3):
        yield Claim(start=start, end=end, values=frozenset(match[1] or match[2]), rule="line")

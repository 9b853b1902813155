"""The letter of an option as the final answer of a text.

extract_letter("Copper conducts, so (A) is out. The answer is **(B)**.", "ABCD")
# Extracted(value="B", span=(32, 52), rule="answer")
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.suite.extraction import letter_rules as rules
from harness.suite.extraction.claims import Claim, stance, standing_claim
from harness.suite.extraction.extracted import Extracted
from harness.suite.extraction.text import MARKUP, last_line, read, sentence_at

_MAX_OPTION_CHARACTERS = 80


def extract_letter(text: str, letters: str | Sequence[str]) -> Extracted | None:
    """Return the one option that `text` gives as its final answer; None if there is none or it is not in `letters`."""
    reading = read(text, MARKUP)
    claim = standing_claim(reading.text, _claims(reading.text))
    if claim is None:
        return None
    (value,) = claim.values
    return Extracted(value, reading.span(claim.start, claim.end), claim.rule) if value in letters else None


def _claims(text: str) -> Iterator[Claim]:
    yield from _line_claim(text)
    yield from _bracketed_claims(text)
    for judged, named in ((False, rules.STATED_RULES), (True, rules.JUDGED_RULES)):
        for rule, pattern in named:
            for match in pattern.finditer(text):
                yield from _claim(text, match, rule, judged)
    for pattern in rules.REJECTED_RULES:
        for match in pattern.finditer(text):
            values = _values(match["group"])
            sentence = text[sentence_at(text, match.start())[0] : match.start()]
            if values and not rules.REASON.search(sentence):
                yield Claim(start=match.start(), end=match.end(), values=values, rule="rejected", stance="negated")


def _claim(text: str, match: re.Match[str], rule: str, judged: bool) -> Iterator[Claim]:
    start, end = match.span("group")
    values, end = _listed(text, start, end)
    if not values or (end == match.end() and not _ends_here(text, end)):
        return
    if rule == "correct" and rules.WRONG_THING.search(text, match.start(), start):
        return  # "the option that is wrong is B": the question decides what that means
    if len(values) > 1 and not judged and rules.REVIEWED.match(text, end):
        return
    meant = stance(text, match.start(), start, end)
    if re.match(r"(?i)neither|none", match["group"]) or _is_rejected(text, end):
        meant = "negated" if meant else None
    if meant == "affirmed" and not judged:
        values |= _alternatives(text, end)
    if len(values) > 1 and meant == "affirmed":
        meant = "open"
    if meant:
        whole = max(end, match.end()) if judged or match.end("group") == end else end
        yield Claim(start=match.start(), end=whole, values=values, rule=rule, stance=meant, judged=judged)


def _listed(text: str, start: int, end: int) -> tuple[frozenset[str], int]:
    """Return the letters of a group; in "B, C and D are wrong", only those before the comma belong to the claim."""
    group = text[start:end]
    comma = re.search(r"[,;]", group)
    if comma and rules.PREDICATE.match(text, end) and not rules.PRAISE.match(text, end):
        end = start + comma.start()
    return _values(text[start:end]), end


def _values(group: str) -> frozenset[str]:
    """The letters in a group; none if one is a placeholder (X) or a run is a word (BAD)."""
    values: set[str] = set()
    for token in rules.LETTERS.findall(group):
        if list(token) != sorted(set(token)) or token in rules.PLACEHOLDERS:
            return frozenset()
        values |= set(token.upper())
    return frozenset(values)


def _ends_here(text: str, end: int) -> bool:
    """Whether the letter before `end` stands for itself, and does not begin a phrase such as "A bird"."""
    letter = text[end - 1]
    if not letter.isalpha() or not letter.isascii():
        return True
    if word := rules.NEXT_WORD.match(text, end):
        return rules.MAY_FOLLOW.fullmatch(word[1]) is not None or (word[1][0].isupper() and letter not in "AI")
    return not rules.NEXT_HAN.match(text, end) or text[end] in rules.HAN_MAY_FOLLOW


def _is_rejected(text: str, end: int) -> bool:
    """Whether the words after a letter call it wrong: "the answer C is a distractor", "选A是错误的"."""
    return rules.REJECTION.match(text, end) is not None


def _alternatives(text: str, end: int) -> frozenset[str]:
    """Letters that the rest of the sentence offers beside the claimed one: "(A) the dog or (B) the cat"."""
    match = rules.ALTERNATIVE.match(text, end)
    if not match or rules.NO_ALTERNATIVE.search(match[0]):
        return frozenset()
    return _values(match["or"] or match["and"] or match["zh"])


def _bracketed_claims(text: str) -> Iterator[Claim]:
    """A conclusion in words with the letter in brackets, such as "So it is the lungs (B)"."""
    for match in rules.BRACKETED_END.finditer(text):
        if len(rules.LETTERS.findall(match[0])) == 1:
            yield from _claim(text, match, "conclusion", judged=False)


def _line_claim(text: str) -> Iterator[Claim]:
    """A letter that is the whole last line, or the option with its text that is the whole last paragraph."""
    start, end = last_line(text)
    line, before = text[start:end], text[:start]
    if rules.OPTION_LINE.match(before.rstrip().rpartition("\n")[2]):
        return  # the last of the options, repeated from the question
    match = rules.LONE.fullmatch(line)
    if match and (match[1].isupper() or match[1] not in "ai" or len(line) > 1):
        yield Claim(start=start, end=end, values=frozenset(match[1].upper()), rule="line")
        return
    match = rules.LONE_WITH_TEXT.fullmatch(line) if len(line) <= _MAX_OPTION_CHARACTERS else None
    is_paragraph = not before.strip() or before.endswith("\n\n")
    if match and is_paragraph and not rules.LETTERS.search(line, 3):
        yield Claim(start=start, end=end, values=frozenset(match[1] or match[2]), rule="line")

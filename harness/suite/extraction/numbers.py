r"""The number that a text gives as its final answer.

extract_number("3 boxes of 6 pens are 18 pens.\n#### 18")    # Extracted(value="18", span=(31, 38), rule="marker")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from harness.suite.extraction import number_rules as rules
from harness.suite.extraction.claims import NEGATION, WITHDRAWAL, Claim, stance, standing_claim
from harness.suite.extraction.extracted import Extracted
from harness.suite.extraction.number_forms import NUMBER, canonical
from harness.suite.extraction.text import MATH_MARKUP, last_line, last_sentence, read, sentence_at

_LONGEST_BOX = 400  # characters in the braces of a boxed answer


def extract_number(text: str) -> Extracted | None:
    """Return the one number that `text` gives as its final answer, as `canonical` writes it; None if there is none."""
    reading = read(text, MATH_MARKUP)
    claim = standing_claim(reading.text, _claims(reading.text))
    if claim is None:
        return None
    return Extracted(claim.written, reading.span(claim.start, claim.end), claim.rule)


def _claims(text: str) -> Iterator[Claim]:
    stated = [
        claim
        for rule, pattern in rules.STATED
        for match in pattern.finditer(text)
        for claim in _stated(text, match, rule)
    ]
    contrasts = (match for match in rules.CONTRAST.finditer(text) if _is_denied_before(text, match.start()))
    stated += [claim for match in contrasts for claim in _stated(text, match, "conclusion")]
    yield from stated
    end = max((claim.end for claim in stated if claim.stance != "negated" and not claim.judged), default=None)
    if end is None or WITHDRAWAL.search(text, end):
        yield from (claim for claim in _last_words(text) if claim.start >= (end or 0))


def _is_denied_before(text: str, position: int) -> bool:
    return NEGATION.search(text, sentence_at(text, position)[0], position) is not None


def _stated(text: str, label: re.Match[str], rule: str) -> Iterator[Claim]:
    """The claim that a label begins: the numbers of its phrase, or else of the rest of its sentence."""
    start, end = label.end(), _phrase_end(text, label, rule)
    reason = rules.REASON.search(text, start, end) if rule != "boxed" else None
    numbers = _numbers(text, start, reason.start() if reason else end)
    if not numbers and rule == "answer" and reason:
        numbers = _numbers(text, start, end)
    if numbers:
        yield from _claim(text, label.start(), numbers, rule, judged=rules.INTERIM.match(label[0]) is not None)


def _phrase_end(text: str, label: re.Match[str], rule: str) -> int:
    """Where the phrase after a label ends: the closing brace, the line, or the sentence."""
    start = label.end()
    if rule == "boxed":
        depth = 1
        for position in range(start, min(len(text), start + _LONGEST_BOX)):
            depth += (text[position] == "{") - (text[position] == "}")
            if not depth:
                return position
    if rule == "marker":
        line_end = text.find("\n", start)
        return line_end if line_end >= 0 else len(text)
    return sentence_at(text, start)[1] if start < len(text) else start


def _numbers(text: str, start: int, end: int) -> list[re.Match[str]]:
    """The numbers of a phrase; of a calculation only its result, and none if the result is missing."""
    equals = [match.end() for match in rules.EQUALS.finditer(text, start, end)]
    numbers = [match for match in NUMBER.finditer(text, equals[-1] if equals else start, end) if canonical(match)]
    is_sum = any(rules.OPERATOR.match(text, before.end(), after.end()) for before, after in pairwise(numbers))
    return [] if is_sum else numbers


def _claim(text: str, start: int, numbers: list[re.Match[str]], rule: str, *, judged: bool = False) -> Iterator[Claim]:
    chosen = _chosen(text, numbers)
    first, end = chosen[0], chosen[-1].end()
    written = [number for match in chosen if (number := canonical(match))]
    values = frozenset(str(Fraction(number)) for number in written)
    meant = stance(text, start, first.start(), end)
    if meant == "affirmed" and (len(values) > 1 or _is_open(text, start, first.start())):
        meant = "open"
    if meant:
        yield Claim(start=start, end=end, values=values, rule=rule, stance=meant, judged=judged, written=written[0])


def _is_open(text: str, start: int, number: int) -> bool:
    """Whether the words before a number make it a bound or the last of several solutions."""
    sentence_start = min(start, sentence_at(text, number)[0])
    return bool(rules.BOUND.search(text, start, number) or rules.SEVERAL.search(text, sentence_start, number))


def _chosen(text: str, numbers: list[re.Match[str]]) -> list[re.Match[str]]:
    """Of several numbers the one that is the answer if the words say which; else all.

    It is the one after a word such as "total", the result of the last calculation, or the only one in the main part.
    """
    if len(numbers) == 1:
        return numbers
    last, results = numbers[-1], _results(text, numbers[0].start())
    main = [match for match in numbers if not _is_beside(text, match)]
    for chosen in (
        [last] if rules.SUMS.search(text, max(0, last.start() - 30), last.start()) else [],
        [match for match in numbers if results and canonical(match) == results[-1]],
        main,
        numbers[1:] if rules.SUBJECT.fullmatch(text, numbers[0].end(), numbers[1].start()) else [],
    ):
        if len(chosen) == 1:
            return chosen
    return numbers


def _is_beside(text: str, number: re.Match[str]) -> bool:
    before = text[max(0, number.start() - 30) : number.start()]
    return rules.BESIDE.search(before) is not None or rules.BESIDE_AFTER.match(text, number.end()) is not None


def _results(text: str, end: int) -> list[str]:
    """The results of the calculations shortly before `end`, in their order."""
    matches = rules.RESULT.finditer(text, max(0, end - 400), end)
    return [number for match in matches if (number := canonical(match))]


def _last_words(text: str) -> Iterator[Claim]:
    """The number at the end of a text without a label: a line of its own, a sum, or a conclusion."""
    start, end = last_line(text)
    line = text[start:end]
    numbers = _numbers(text, start, end)
    if (
        not line
        or (rules.ITEM.fullmatch(line) and rules.ITEM.search(text[:start]))
        or rules.STEP.match(line)
        or _is_loop(text)
    ):
        return
    if len(numbers) == 1 and rules.LONE.fullmatch(line):
        yield from _claim(text, start, numbers, "line")
    elif len(numbers) == 1 and rules.SUM_LINE.fullmatch(line) and rules.REST.fullmatch(text[numbers[0].end() : end]):
        yield from _claim(text, start, numbers, "sum")
    else:
        yield from _conclusion(text)


def _is_loop(text: str) -> bool:
    """Whether the text ends with steps that differ in their numbers at most: "3 x 8 = 24", "3 x 9 = 27", ..."""
    steps = [rules.DIGITS.sub("0", step.strip(" .。")) for step in rules.STEP_END.split(text[-800:])]
    last = [step for step in steps if step][-6:]
    return (bool(last) and last.count(last[-1]) >= 3) or len(
        rules.EQUALS.findall(text, *last_sentence(text))
    ) > rules.MOST_EQUALS


def _conclusion(text: str) -> Iterator[Claim]:
    """The number of the last clause, if the sentence draws a conclusion or the clause gives a result."""
    sentence_start, sentence_end = last_sentence(text)
    end = _main_end(text, sentence_start, sentence_end)
    commas = [match.end() for match in rules.COMMA.finditer(text, sentence_start, end - 1)]
    start = commas[-1] if commas else sentence_start
    numbers = _numbers(text, start, end)
    numbers = _chosen(text, numbers) if numbers else []
    if len(numbers) != 1 or rules.PART.match(text, start):
        return
    if not _is_finished(text, sentence_start, numbers[0].end(), sentence_end):
        return
    concludes = (
        rules.THEREFORE.match(text, start)
        or rules.THEREFORE.match(text, sentence_start)
        or rules.TOTAL.search(text, start, end)
        or rules.EQUALS.search(text, start, end)
        or canonical(numbers[0]) in _results(text, start)[-1:]
    )
    if concludes:
        yield from _claim(text, start, numbers, "conclusion")


def _is_finished(text: str, start: int, number_end: int, end: int) -> bool:
    """Whether a sentence ends with a mark, or is a whole line whose last words are a number and its unit."""
    rest = text[number_end:end]
    is_line = not text[text.rfind("\n", 0, start) + 1 : start].strip() or text[start - 1 : start] == "\n"
    is_whole = is_line and rules.REST.fullmatch(rest) is not None and not rules.UNFINISHED.search(rest)
    return rest.rstrip()[-1:] in tuple('.。!")') or is_whole


def _main_end(text: str, start: int, end: int) -> int:
    """Where a remark on the number of a sentence begins; `end` if there is none."""
    number = NUMBER.search(text, start, end)
    aside = rules.ASIDE.search(text, number.end(), end) if number else None
    return aside.start() if aside else end

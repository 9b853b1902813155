r"""The number that a text gives as its final answer.

extract_number("3 boxes of 6 pens are 18 pens.\n#### 18")    # Extracted(value="18", span=(31, 38), rule="marker")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from harness.suite.extraction.claims import WITHDRAWAL, Claim, stance, standing_claim
from harness.suite.extraction.extracted import Extracted
from harness.suite.extraction.number_forms import NUMBER, canonical
from harness.suite.extraction.text import MATH_MARKUP, last_line, last_sentence, read, sentence_at

_LINK_WORD = (
    r"(?:is|are|was|were|be|should|must|has|have|to|will|would|can|only|could|might|may|most|likely|probably"
    r"|therefore|thus|hence|"
    r"clearly|definitely|then|indeed|still|also|not|isn't|can't|cannot|wasn't|seems?|turns|out|obviously|simply"
    r"|just|actually|now|"
    r"given|by|as|it|that|becomes|equals|comes)"
)
_STATED = (
    ("marker", re.compile(r"####[ \t]*(?=[^\n]*\d)(?![ \t]*[A-Za-z]{2})(?![ \t]*\d+[.):][ \t]+[A-Za-z])")),
    ("boxed", re.compile(r"\\f?boxed\s*\{")),
    (
        "answer",
        re.compile(
            r"\b(?:answers?|ans\.?|result|solution)(?:\s+(?:to|for|of|in|here)\b[^.,;:\n]{0,60}?)?[\"')\]]*"
            rf"(?:\s*+(?:[=:→—]|-++>)|\s++{_LINK_WORD}\b){{1,9}}",
            re.IGNORECASE,
        ),
    ),
    (
        "answer",
        re.compile(
            rf"(?={NUMBER.pattern}(?:\s+\w+)?\s+(?:is|must be)\s+(?:the|my|our)\s+(?:\w+\s+)?answer\b)", re.IGNORECASE
        ),
    ),
    (
        "answer",
        re.compile(
            r"(?:答案|结果|得数)(?:[^,。;\n:是为应]{0,8})?(?:应该|应当|应|该|就|也|可能|不|并|是|为|等于|约"
            r"|[\]:=]|\s++){1,12}|(?:^|(?<=[。,;.!\s\[]))答\s*[\]:]+",
            re.MULTILINE,
        ),
    ),
)
_CONTRAST = re.compile(r"(?:而是|而应该?是|\bbut(?: rather)?)\s*(?=\d)")
_REASON = re.compile(
    r"\b(?:because|since|as|so that|which|where|given|if|when|after|out of)\b|因为|由于|[;。]|\.(?=\s|$)|\n"
    r"|,(?!\d{3})(?!\s*or\b)|\(|。|!|\?",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"[=≈]")
_BOUND = re.compile(
    r"\b(?:between|more than|less than|fewer than|at least|at most|over|under|up to)\s*$|(?:超过|不到|至少|至多"
    r"|大于|小于|多于|少于)\s*$",
    re.IGNORECASE,
)
_SUMS = re.compile(
    r"(?:一共|总共|共计|合计|共|总计|还剩下?|剩下?|等于|\btotal(?: of)?|\baltogether)[^\d,。.]{0,8}$|\b(?:is|are"
    r"|be|equals|makes|leaves)\s*$",
    re.IGNORECASE,
)
_THEREFORE = re.compile(
    r"\s*(?:(?:so|no|therefore|thus|hence|finally|overall|in (?:total|all|conclusion|the end)|altogether|(?:this"
    r"|that|which) (?:means|leaves|makes|gives)|then)\b"
    r"|(?:it|this|that) (?:is|should be|must be|would be|equals|comes to)\b|(?:I|we) get\b"
    r"|the (?:\w+ )?(?:number|amount|cost|price|value|sum|"
    r"difference|product|average|length|width|area|distance|time|speed|age|weight|profit|percentage"
    r"|probability)\b|所以|因此|因而|故|于是|最后|最终|可见|综上"
    r"|应该?[是为]|(?:平均数?|总数|数量|人数|价格|速度|面积|长度|时间|距离|[和差积商])[是为]|得到?|即|也就是)",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"\b(?:total|altogether|in all|left|remain|remains|remaining|sum|overall)\b|一共|总共|共计|合计|总计|总价"
    r"|还剩|剩下|还有|共有|共需|共花|得出|总数|总额|总和",
    re.IGNORECASE,
)
_PART = re.compile(r"\s*(?:其中|包括|including\b|of which\b|of them\b)", re.IGNORECASE)
_SUM_LINE = re.compile(r"[^=≈\n]*(?:[=≈][^=≈\n]*)*[=≈]\s*(?P<value>[^=≈\n]*)")
_REST = r"%?(?:[ \t]*(?:[A-Za-z/²³°]+(?:[ \t][A-Za-z]+)?|\(?[一-鿿]{1,4}\)?))?[ \t]*[.。!*]?[ \t]*"
_LONE = re.compile(rf"[=≈:\s*]*{NUMBER.pattern}{_REST}", re.IGNORECASE)
_ITEM = re.compile(r"^[ \t]*\d+[.)][ \t]*", re.MULTILINE)
_RESULT = re.compile(rf"[=≈]\s*{NUMBER.pattern}", re.IGNORECASE)
_COMMA = re.compile(r"[,;—](?!\d{3}(?!\d))")


LONGEST_BOX = 400  # characters in the braces of a boxed answer


def extract_number(text: str) -> Extracted | None:
    """Return the one number that `text` gives as its final answer, as `canonical` writes it; None if there is none."""
    reading = read(text, MATH_MARKUP)
    claim = standing_claim(reading.text, _claims(reading.text))
    if claim is None:
        return None
    return Extracted(claim.written, reading.span(claim.start, claim.end), claim.rule)


def _claims(text: str) -> Iterator[Claim]:
    stated = [
        claim for rule, pattern in _STATED for match in pattern.finditer(text) for claim in _stated(text, match, rule)
    ]
    stated += [claim for match in _CONTRAST.finditer(text) for claim in _stated(text, match, "conclusion")]
    yield from stated
    end = max((claim.end for claim in stated if claim.stance != "negated"), default=None)
    if end is None or WITHDRAWAL.search(text, end):
        yield from (claim for claim in _last_words(text) if claim.start >= (end or 0))


def _stated(text: str, label: re.Match[str], rule: str) -> Iterator[Claim]:
    """The claim that a label begins: the numbers of its phrase, or else of the rest of its sentence."""
    start, end = label.end(), _phrase_end(text, label, rule)
    reason = _REASON.search(text, start, end) if rule != "boxed" else None
    numbers = _numbers(text, start, reason.start() if reason else end)
    if not numbers and rule == "answer" and reason:
        numbers = _numbers(text, start, end)
    if numbers:
        yield from _claim(text, label.start(), numbers, rule)


def _phrase_end(text: str, label: re.Match[str], rule: str) -> int:
    """Where the phrase after a label ends: the closing brace, the line, or the sentence."""
    start = label.end()
    if rule == "boxed":
        depth = 1
        for position in range(start, min(len(text), start + LONGEST_BOX)):
            depth += (text[position] == "{") - (text[position] == "}")
            if not depth:
                return position
    if rule == "marker":
        line_end = text.find("\n", start)
        return line_end if line_end >= 0 else len(text)
    return sentence_at(text, start)[1] if start < len(text) else start


def _numbers(text: str, start: int, end: int) -> list[re.Match[str]]:
    """The numbers of a phrase; of a calculation only its result, and none if the result is missing."""
    equals = [match.end() for match in _EQUALS.finditer(text, start, end)]
    return [match for match in NUMBER.finditer(text, equals[-1] if equals else start, end) if canonical(match)]


def _claim(text: str, start: int, numbers: list[re.Match[str]], rule: str) -> Iterator[Claim]:
    chosen = _chosen(text, numbers)
    first, end = chosen[0], chosen[-1].end()
    written = [number for match in chosen if (number := canonical(match))]
    values = frozenset(str(Fraction(number)) for number in written)
    meant = stance(text, start, first.start(), end)
    if meant == "affirmed" and (len(values) > 1 or _BOUND.search(text, start, first.start())):
        meant = "open"
    if meant:
        yield Claim(start=start, end=end, values=values, rule=rule, stance=meant, written=written[0])


def _chosen(text: str, numbers: list[re.Match[str]]) -> list[re.Match[str]]:
    """Of several numbers the one that a word such as "total" precedes or that the last calculation gave; else all."""
    if len(numbers) == 1:
        return numbers
    totals = numbers[-1:] if _SUMS.search(text, max(0, numbers[-1].start() - 30), numbers[-1].start()) else []
    if not totals:
        results = _results(text, numbers[0].start())
        totals = [match for match in numbers if results and canonical(match) == results[-1]]
    return totals if len(totals) == 1 else numbers


def _results(text: str, end: int) -> list[str]:
    """The results of the calculations shortly before `end`, in their order."""
    matches = _RESULT.finditer(text, max(0, end - 400), end)
    return [number for match in matches if (number := canonical(match))]


def _last_words(text: str) -> Iterator[Claim]:
    """The number at the end of a text without a label: a line of its own, a sum, or a conclusion."""
    start, end = last_line(text)
    line = text[start:end]
    numbers = _numbers(text, start, end)
    if not line or (_ITEM.fullmatch(line) and _ITEM.search(text[:start])) or _is_list(text):
        return
    if len(numbers) == 1 and _LONE.fullmatch(line):
        yield from _claim(text, start, numbers, "line")
    elif len(numbers) == 1 and _SUM_LINE.fullmatch(line) and re.fullmatch(_REST, text[numbers[0].end() : end]):
        yield from _claim(text, start, numbers, "sum")
    else:
        yield from _conclusion(text)


def _is_list(text: str) -> bool:
    """Whether the text ends with lines that differ in their numbers only: "3 x 8 = 24", "3 x 9 = 27", ..."""
    lines = [line.strip() for line in text[-800:].splitlines() if line.strip()][-3:]
    return len(set(lines)) == 3 and len({re.sub(r"\d+", "0", line) for line in lines}) == 1


def _conclusion(text: str) -> Iterator[Claim]:
    sentence_start, end = last_sentence(text)
    commas = [match.end() for match in _COMMA.finditer(text, sentence_start, end - 1)]
    start = commas[-1] if commas else sentence_start
    numbers = _numbers(text, start, end)
    numbers = _chosen(text, numbers) if numbers else []
    if len(numbers) != 1:
        return
    finished = text[:end].rstrip()[-1:] in tuple('.。!")') or re.fullmatch(_REST, text[numbers[0].end() : end])
    results = _results(text, start)
    computed = bool(results) and results[-1] == canonical(numbers[0])
    concludes = (
        _THEREFORE.match(text, start) or _THEREFORE.match(text, sentence_start) or _TOTAL.search(text, start, end)
    )
    if finished and (computed or concludes) and not _PART.match(text, start):
        yield from _claim(text, start, numbers, "conclusion")

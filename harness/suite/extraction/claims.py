"""What a text says its answer is, sentence by sentence, and which of these claims stands at the end.

A claim is a statement of the answer that a rule found. Its stance says whether the writer means it:

    affirmed   The answer is (B).
    negated    The answer is not B.
    open       The answer could be B. / The answer is A or B.

Statements that the writer does not assert are dropped: a supposition (If the answer were B, ...), a question, an
instruction about the format, the view of others, an earlier view of the writer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.suite.extraction.text import clause_before, sentence_at

Stance = Literal["affirmed", "negated", "open"]

_I = re.IGNORECASE | re.MULTILINE
_QUESTION = re.compile(r"\?[\"')\]]*\s*$")
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|assume|assuming|whether|unless|were|although|though|while)\b|如果|假如|假设|假使|假定"
    r"|倘若|要是|若(?!干)|是否|难道|即使|虽|尽管",
    _I,
)
_SUPPOSED_AFTER = re.compile(r"[^.;。\n]{0,20}\b(?:if|only if|were)\b[^.;。\n]*\b(?:were|had|was|did)\b", _I)
_INSTRUCTION = re.compile(
    r"\binstruct|\bformat\b|\bsuch as\b|\bthe form\b|\bbeing the\b|\b(?:must|should|need to|have to|asked to"
    r"|told to) "
    r"(?:\w+ )?(?:end|finish|conclude|close|reply|respond|write|say|state)\b|\bto (?:end|finish|reply"
    r"|respond) (?:with|by|in)\b|(?<!I )(?<!I'll )(?<!I will )(?<!me )"
    r"\b(?:end|finish|conclude|ending|finishing|concluding) (?:\w+ ){0,3}with\b|\bx is the\b|\btemplate\b|\be\.g\."
    r"|以.{0,30}(?:结尾|结束|收尾|作结)|(?:形式|格式|句式|模板)|[XN]为|[XN]是(?:选项|所求|字母)|例如|比如|写成"
    r"|写上|写出|要求.{0,12}(?:写|答|结)",
    re.IGNORECASE | re.DOTALL,
)
_OTHERS = re.compile(
    r"\b(?:some|many|most|others|people|students|readers|someone)\b[^,;]{0,30}\b(?:think|thinks|say|says|choose"
    r"|pick|might|may|"
    r"could|would|believe|argue|claim|claims|said)\b|\b(?:one|you) (?:might|may|could|would)\b|\btempt"
    r"|\bat first\b|\binitially\b"
    r"|\bfirst glance\b|\bthought\b(?: that)?[^,]{0,12}$|\bguessed\b|\bmistakenly\b|\b(?:was going|wanted"
    r"|used) to\b|\balmost\b|\b(?:first|initial|previous|earlier|original)\s*$|\bwrongly\b"
    r"|(?:有些?|有的|很多|许多|别)人|(?:同学|学生|考生)[^,]{0,6}(?:会|认为|误|选|说|觉得)|容易|原本|本来|起初"
    r"|最初|一开始|以为|乍看|曾|看似|[A-J][)项]?(?:还是|或者?)$",
    _I,
)
_NOT_BEFORE = re.compile(
    r"(?:\bnot|n't|\bnever|\bcannot|\bnone of|\bneither)(?:\s+(?:think|believe|say|mean|claim|that|the|agree|it"
    r"|its|correct|"
    r"right|best|sure|certain|follow|imply|possible|see|why|how|to|be|final|option|choose|pick|select|go|for"
    r"|with))*\s*$"
    r"|(?:不认为|不觉得|不能说|不能|不该|不应该?|不可能?|不会|不|误|错|(?<![分特区性])别|勿|未|难以|无法|并非"
    r"|不能断定)(?:说|把)?$",
    _I,
)
NEGATION = re.compile(r"\b(?:not|never|neither|cannot|nor)\b|n't\b|不|非|没|勿", _I)
_HEDGE = re.compile(
    r"\b(?:could|might|may|either|possibly|perhaps|maybe|whether)\b|可能|也许|或许|要么|不是.{1,3}就是", _I
)

_START = (
    r"(?:^|(?<=[.!?…\n。;])|(?<=[.!?…。;]\s)|(?<=[.!?]\s\s))[ \t\"'(]{0,4}"
    r"(?:oh|but|however|ah|um|哦|啊|但是?|可是)?[, ]{0,3}"
)
_WITHDRAWALS = (
    # "Wait, ..." and "No, ..." at the start of a sentence, and within one
    rf"{_START}(?:wait\b|hold on|hang on|hmm|oops|scratch that|correction\b|on second thoughts?|no wait"
    r"|(?<!\b[A-J]\. )no[,.:;!—]|actually\b|sorry\b"
    r"|等一下|等等|且慢|慢着|不对|不[,。!—]|错了|更正|纠正|重新|再(?:想|看|算|读)|抱歉|其实)",
    r"(?<=[,—])\s*(?:but\s+)?(?:wait\b|no[,:;]|不对[,。!]|不[,]|等等[,。]|等一下)",
    # "But that cannot be right", "so my answer is wrong"
    r"(?:^|[.!?\n]\s*|\b(?:but|no|however|yet|so|and|again)[, ]\s*)"
    r"(?:that|this|it|my (?:\w+ )?(?:answer|choice|reasoning))\s*"
    r"(?:(?:is|was|'s|must be|seems|looks)\s+(?:\w+ )?"
    r"(?:wrong|incorrect|false|mistaken|an? (?:mistake|error)|impossible|not (?:right|correct|possible|true|it))"
    r"|(?:cannot|can't|can not|could not|couldn't|isn't|is not|doesn't|does not)\s+"
    r"(?:be |seem |look )?(?:right|correct|true|possible|hold|work|fit|so))",
    # "I was wrong", "I made a mistake", "I don't know"
    r"\bI (?:was|am|must be|may be|might be) (?:wrong|mistaken|no longer)"
    r"|\bI'm no longer|\bI mis\w+|\bI made an? (?:\w+ )?(?:mistake|error)"
    r"|\bI (?:honestly |really |still )?(?:do not|don't|cannot|can't) (?:know|decide|tell|determine|say|be sure"
    r"|choose)",
    r"\bI (?:take|took) (?:that|it) back|\bI (?:withdraw|retract)|\bI (?:need|have) to (?:re\w+|start|think again)"
    r"|\blet me (?:re(?!-?check)\w+|think|start|try|correct|look)\b",
    r"(?:搞|弄|算|说|想|看|选|写|答)错了|收回|推翻|撤回"
    r"|我(?:也|还|现在|真的|已经)*(?:不知道|无法|不清楚|没法|不敢)",
    r"(?:这|那|这样|那样|这个(?:答案|结论)?|上面|刚才|前面|之前)(?:的|算|说|想|选|答案|结论|推理|做)*"
    r"(?:就|也|是|显然|还是)*(?:不对|错|不行|不成立|有误|不正确|有问题)",
)
WITHDRAWAL = re.compile("|".join(_WITHDRAWALS), _I)
# These may begin a correction, but take nothing back by themselves: "Let me check", "The answer is B. No, it floats".
_CHECK = re.compile(
    r"\b(?:let me|let's|I(?:'ll| will)) (?:double[- ]?check|re-?check|check|verify|confirm)\b|\bI forgot\b"
    r"|\b[A-J]\. no[,.:;]|(?:检查|核对|验算|验证)一?[下遍]|漏[看算了]",
    _I,
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of the answer, at ``start:end`` of a `Reading`.

    `values` has several members if the claim leaves the choice between them; two claims agree if theirs are equal.
    `written` is the form in which a number is returned: 0.75 and 3/4 have one value. `judged` marks a remark on one
    option ("B is correct"), which gives way to a statement of the answer ("so the answer is D").
    """

    start: int
    end: int
    values: frozenset[str]
    rule: str
    stance: Stance = "affirmed"
    judged: bool = False
    written: str = ""


def stance(text: str, start: int, value_start: int, end: int) -> Stance | None:
    """Return how the writer means the claim at ``start:end``; None if nobody makes it.

    `value_start` is where the letter or number begins; the words before it can negate or weaken the claim.
    """
    sentence_start, sentence_end = sentence_at(text, value_start)
    sentence_start = min(sentence_start, start)
    before, link = clause_before(text, start), text[start:value_start]
    if _QUESTION.search(text[sentence_start:sentence_end]) or _INSTRUCTION.search(text[sentence_start:sentence_end]):
        return None
    if _SUPPOSED.search(before + link) or _SUPPOSED_AFTER.match(text, end, sentence_end) or _OTHERS.search(before):
        return None
    if NEGATION.search(link) or _NOT_BEFORE.search(before):
        return "negated"
    return "open" if _HEDGE.search(link) or _HEDGE.search(before) else "affirmed"


def standing_claim(text: str, claims: Iterable[Claim]) -> Claim | None:
    """Return the affirmed claim that stands at the end of the text.

    None if there is none, if it was withdrawn, if it leaves a choice, or if two claims disagree and no word of
    correction stands between them.
    """
    ordered = _without_overruled(sorted(claims, key=lambda claim: (claim.start, claim.end)))
    standing: Claim | None = None
    conflict = False
    position = 0
    for claim in ordered:
        if claim.stance == "negated":
            if standing and standing.values <= claim.values:
                standing, conflict = None, False
            continue
        if WITHDRAWAL.search(text, position, claim.start) or _CHECK.search(text, position, claim.start):
            standing, conflict = None, False
        position = max(position, claim.end)
        if (
            standing
            and claim.start < standing.end
            and (claim.values, claim.stance) == (standing.values, standing.stance)
        ):
            continue  # a part of the same statement
        narrowed = standing is not None and standing.stance == "open" and claim.values <= standing.values
        conflict = conflict or (standing is not None and standing.values != claim.values and not narrowed)
        standing = claim
    if standing is None or conflict or standing.stance == "open" or WITHDRAWAL.search(text, position):
        return None
    return standing


def _without_overruled(ordered: Sequence[Claim]) -> list[Claim]:
    """Leave out remarks on options that a statement of the answer follows, and reviews of several options."""
    stated = [claim.start for claim in ordered if claim.stance != "negated" and not claim.judged]
    if not stated:
        return list(ordered)
    later = {value for claim in ordered if _is_remark(claim) and claim.start > stated[-1] for value in claim.values}
    review = len(later) > 1
    return [claim for claim in ordered if not _is_remark(claim) or (claim.start > stated[-1] and not review)]


def _is_remark(claim: Claim) -> bool:
    return claim.judged and claim.stance != "negated"

r"""The rules of letters as data: which words around an option state, praise or reject it.

A cue is read as ``before`` + the option or options + ``after``:

    Cue("answer", ANSWER + OF + LINK, "", "The answer to this is (B).")

To add a way of stating an answer, extend `vocabulary` or a cue, or add a cue with an example, which a test reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from harness.suite.extraction import vocabulary
from harness.suite.extraction.options import GROUP
from harness.suite.extraction.vocabulary import ANSWER, HAN_ANSWER, HAN_LABEL, HAN_LINK, HAN_SO, IS, LINK, OF, SO


@dataclass(frozen=True)
class Cue:
    """Words before and after an option (regular expressions), and an example that they match.

    `rule` is a name of docs/tasks.md; the examples are about option B.
    """

    rule: str
    before: str
    after: str
    example: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The whole expression; its group ``group`` holds the option or options."""
        return re.compile(self.before + GROUP + self.after)


_GOOD = (
    "(?i:correct|right|best|better|only|true|valid|proper|remaining|matching|suitable|appropriate|strongest|closest"
    "|supported|(?:most|more) \\w+)"
)
_THING = (
    "(?i:answer|option|choice|one|statement|letter|response|candidate|alternative|pick|conclusion|solution|description"
    "|sentence|explanation)"
)
_CHOOSE = (
    "(?i:choose|chose|choosing|pick|picked|select|selected|go(?:ing)? (?:with|for)|went with|opt(?:ed|ing)? for|settle"
    " (?:on|for)|vote for|take|answer|say|change (?:it|my answer|this) to|switch to|stick with"
    "|lean(?:ing)?(?: towards?)?|favou?r)"
)
_SO = (
    rf"(?i:{SO}|(?:that|which|this) leaves|leaving|leaves|left with|points to|definitely|clearly|concludes?|must be"
    "|has to be|can only be|it(?: is|'s| was)|it (?:should|would|could|may|might) be|that is|that's|this is)"
)
_FILLER = (
    "(?i:it|is|must|has|to|be|only|can|should|with|us|me|just|that|the|we|are|have|get|my|therefore|not|left|case)"
)
_HAN_SO = (
    f"{HAN_SO}|那么|那|应该|只能|必然|应当|肯定|一定|就|而|还是|剩下的?|只剩|只有"
    "|应|可能|也|或许|我想|我认为|我觉得|我猜"
)
_HAN_GOOD = (
    r"(?:(?<!不)正确|最佳|最合适|最恰当|最符合|(?<!不)符合[^,。;\n]{0,8}|最好|合适|恰当|对|成立|一致)的?"
    "(?:答案|选项|一项|那项|说法|那个|表述|推断)?"
)
_HAN_EVEN = "(?:才|都|均|全|也|是|为|最|更|比较|完全|显然|看起来|则|就|的)*"
_ADVERB = r"(?:\s+(?i:\w+ly|also|the|therefore|thus|indeed|still|in fact|both|all|most|then))*"
_WRONG = (
    "(?i:wrong|incorrect|false|impossible|mistaken|out\\b|excluded|eliminated|ruled out|a distractor|"
    "not (?:right|correct|possible|true|it\\b|the (?:answer|right|correct)))"
)
# Where the option ends the clause, or an explanation follows: "so B." and "so B because", not "so A dog".
_END = (
    r"(?=\s*(?:[.,;:!?。、)\]\"'\n]|$|(?i:because|since|as|for|which|and|but|then|here|too|it is)\b|因为|是因|吧|了))"
)
_MARK = r"(?:[ \t]*[.:、)(|,-]){0,3}[ \t]*"  # "D. correct", "D（√）", "| D | correct |"

STATED = (
    Cue("boxed", r"\\f?boxed\s*\{+\s*", "", r"\boxed{B}"),
    Cue("answer", rf"{ANSWER}{OF}(?:{LINK}|\s*-++\s*)", "", "The answer to this question must be (B)"),
    Cue(
        "answer",
        r"(?m:^)[ \t\[]*(?i:(?:final |correct )?(?:answer|option|choice))\]?(?:[ \t]*:\s*+|\s++)",
        r"(?=\s*(?:[.,:)]|$|\n))",
        "Answer B",
    ),
    Cue("answer", r"答案\s?", r"(?=\s*(?:[.。;\n]|$))", "答案B。"),
    Cue("answer", rf"{HAN_ANSWER}{HAN_LINK}", "", "本题的答案应该是B"),
    Cue("answer", rf"{HAN_LABEL}[是为选]?\s*+", _END, "答：B"),
    Cue("choice", rf"\b{_CHOOSE}\s+(?i:answer |option |choice )?", _END, "I would go with option B."),
    Cue(
        "choice",
        r"(?:选(?!项)(?:择|取|定|出|中|了|的是)?|选项(?:应该?|就)?[是为])(?:的?(?:答案|选项)?(?:应该?)?[是为])?[:\s]*",
        "",
        "本题应选择的是B",
    ),
    Cue(
        "correct",
        rf"\b{_GOOD}\s+(?:\w+\s+){{0,2}}?{_THING}(?:\s+(?i:left|here|that|which|to)\b[^.,;:\n]{{0,40}}?)?{LINK}",
        "",
        "The best option here is B",
    ),
    Cue(
        "correct",
        rf"\b{_THING}\s+\w[^.,;:\n]{{0,60}}?\b(?i:is|must be|should be)\s*:?\s*",
        _END,
        "The only option supported by the text is B.",
    ),
    Cue(
        "correct",
        "",
        rf"\s+{IS}\s+(?:\w+\s+){{0,2}}?(?:(?:{_GOOD}|(?i:final|my|our))\s+(?:\w+\s+)?{_THING}|(?i:(?:the|my) answer"
        r"|the one))\b",
        "B must be the right answer",
    ),
    Cue("correct", rf"{_HAN_GOOD}{HAN_LINK}", "", "最符合题意的是B"),
    Cue(
        "correct",
        "",
        "[才就正即]*[是为](?:本题|此题|该题|这题|题目)?的?(?:唯一|最终)?的?(?:正确|最佳|最好)?的?(?:答案|选择|正确选项)",
        "B才是本题的答案",
    ),
    Cue("correct", r"\b(?i:makes?|making)\s+", rf"\s+(?i:the|our)\s+(?:\w+\s+)?{_THING}\b", "That makes B the answer"),
    Cue("conclusion", rf"\b{_SO}(?:[,:]|\s+{_FILLER}){{0,9}}\s+(?i:answer |option |choice |that )?", _END, "Hence, B."),
    Cue(
        "conclusion",
        r"(?i:\b(?:matches|corresponds to|namely|equals|is|that's|i\.e\.,?|makes)|=>|-+>|→|⇒)\s*"
        r"(?=[(\[]|(?i:option|choice|answer|statement) )",
        _END,
        "This corresponds to option B.",
    ),
    Cue(
        "conclusion",
        rf"(?<![^,。;:!?\n])[ \t]*+(?:{_HAN_SO}|[,:][ \t]*+|[ \t]){{0,8}}(?:是|为|剩|剩下|只剩下?|只有|仅有)\s*",
        _END,
        "所以只能是B。",
    ),
    Cue("conclusion", r"\((?=(?i:option|choice) )", r"(?=\s*[.!]?\s*\Z)", "= 130 km (option B)"),
    Cue("conclusion", r"(?:(?<=\b[Nn]o, )|(?<=不,))", _END, "Is it A? No, B."),
    Cue("conclusion", r"(?<!all )(?<!thing )(?<!none )(?<!one )\b(?i:but)\s+(?i:rather )?", _END, "Not A but B."),
    Cue("conclusion", r"(?<![^.!?;,\n ])", r" (?i:it is|it must be)(?=\s*[.!\n]|\s*$)", "B it is."),
)
JUDGED = (
    Cue(
        "judgement",
        "",
        rf"\s+{IS}{_ADVERB}\s+(?i:correct|right|true|best|accurate|valid|(?:more|most) (?:likely|accurate|appropriate"
        r"|plausible|reasonable|suitable|logical))\b",
        "B is clearly correct",
    ),
    Cue("judgement", "", r"\s+(?i:follows|is what|best \w+s)\b", "B best captures the view"),
    Cue("judgement", r"(?i:\bonly )\s*", r"\s+\w+s?\b", "only B fits"),
    Cue(
        "judgement",
        "",
        rf"(?:的?说法|的?表述|两项|三项|的?结论|的?描述)?{_HAN_EVEN}(?:正确|对(?![应比于])|合适|恰当|贴切|妥当|准确|符合|成立|合理"
        r"|没有?问题|无误|可选|合题|与[^,。;\n]{0,8}(?:相符|一致|吻合))",
        "B的说法是正确的",
    ),
    Cue("judgement", "只有", r"(?=[^,。;\n]{1,30}(?:[。,;\n]|$))", "只有B项能够支持结论。"),
    Cue("judgement", r"[^,。;:\n]{2,20}的(?:一项|选项|那项)?[应就才]?该?[是为]\s*", _END, "能够削弱论点的是B。"),
    Cue("judgement", r"(?:对应|即|也就是)的?(?:是|为|着|选项|答案)*\s*", r"(?=[,。;\n]|$)", "对应选项B。"),
    Cue("judgement", "", rf"{_MARK}(?:(?i:correct)\b|正确|对(?![应比于])|√|✓|✔|✅)", "B. Correct: it is lighter"),
)
REJECTED = (
    Cue(
        "rejected",
        "",
        rf"\s+(?:{IS}{_ADVERB}\s+{_WRONG}|(?i:(?:can't|could not|couldn't|cannot) be|isn't|aren't|wasn't)(?:\s+the)?\s+"
        r"(?i:right|correct|true|possible|it\b|answer)|(?i:contradicts?|fails?|forgets?|ignores?|overlooks?|lacks"
        r"|goes too far|misses|(?:does not|doesn't) (?:fit|work|match|hold))\b)",
        "B is clearly wrong",
    ),
    Cue("rejected", r"\b(?i:excludes?|eliminates?|rules? out|reject|discard)\s+", "", "the date rules out B"),
    Cue("rejected", r"\b(?i:not|can't be|cannot be|isn't)\s+", _END, "it is not B."),
    Cue(
        "rejected",
        "",
        "(?:的?说法|的)?(?:显然|也|就|是|并|都|均|则|其实)*(?:不(?:对|正确|成立|符合|行|是|可能|选)|错|有误|矛盾|排除|可以排除"
        r"|与[^,。;\n]{0,14}(?:矛盾|不符|相反|冲突))",
        "B的说法是错误的",
    ),
    Cue("rejected", r"(?:排除|不选|不是|否定)\s*", "", "排除B"),
    Cue("rejected", "", rf"{_MARK}(?:(?i:incorrect|wrong)\b|错|×|✗|✘|❌)", "B. Incorrect: it is heavier"),
)

# A word that makes the last sentence a conclusion.
CLOSING = re.compile(
    rf"\b(?i:{SO}|given|based on|because|since|among|conclude|conclusion|reasoning|clearly|answer|option|choice|correct"
    r"|right|best|closest|most|only|left|arrive|ende?d? up|corresponds|possibility|fits|follows|matches|wins|exactly)\b"
    r"|,\s+_\s+[.!]?$"  # "..., option C." with the option left out
    rf"|{HAN_SO}|综|由|最|答案|选|推[出断]|得出|倾向|结论|正确|符合"
)
NEXT_STEP = re.compile(vocabulary.NEXT_STEP, re.IGNORECASE)
REASON = re.compile(r"\b(?:because|since|for)\b|因为|由于", re.IGNORECASE)
WRONG_THING = re.compile(
    r"(?i:\b(?:wrong|incorrect|false|excluded|eliminated|distractor|fails?|avoid|tempting|weak|except|not)\b"
    r"|n't\b)|错|不"
)
REJECTION = re.compile(
    rf"\s*(?i:is|was|would be)\s+(?:\w+\s+)?{_WRONG}|\s*(?:项|选项)?(?:就|显然|则|是|的)*(?:不(?![选是])|错|有误)"
)
REVIEWED = re.compile(r"\s*(?:[两三四]项?)?(?:都|均|全|皆)|\s*[两三四]项")
LONE = re.compile(r"[(\[\"'{]*\s*([A-Za-z])\s*[)\]\"'}]*\s*[.。!)]?")
UNFILLED = re.compile(r"(?i:\banswer) (?i:is):? \(?X\b|答案[是:]\(?X")
LONE_SENTENCE = re.compile(r"[.!?] [A-J][.!]$")  # "Not A, not B. C."
LONE_WITH_TEXT = re.compile(r"\(([A-Z])\)\s+\S.*|([A-Z])[.)]\s*\S.*")
OPTION = re.compile(r"\b[A-J][.)]|\([A-J]\b|\b(?:and|or|,) [A-J]\b")
OPTION_LINE = re.compile(r"^[ \t\-(]*[A-J][.):、]", re.MULTILINE)
# "So it is the lungs (B)."
BRACKETED_END = re.compile(
    r"(?i:\b(?:so|therefore|thus|hence|(?:all|none|both) of the above)\b)[^.;\n]{0,200}"
    r"(?=\([A-J]\)\s*(?:[.!\n]|$))" + GROUP
)

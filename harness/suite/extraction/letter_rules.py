"""The patterns of the letter rules: how English and Chinese texts state, praise and reject an option.

Each pattern has a group ``group``, which holds the letter or letters. Letters are matched by case, words are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# One letter: B, (B), "B", b. or a run: ABD. A word, a name or a grade is none: A-level, Bob, C++, B's.
_UPPER = r"(?<![A-Za-z0-9_])[A-Z](?![A-Za-z0-9_#]|'[a-z]|-[A-Za-z0-9]|\+\+)"
_LOWER = (
    r"(?<=[(\[\"'])[a-j](?=[)\]\"'])|(?:(?<=[Oo]ption )|(?<=[Cc]hoice ))[a-j](?![A-Za-z0-9])"
    r"|(?<![A-Za-z])(?:[b-hj](?=[ \t]*(?:[.,;!。\n]|$))|[ai](?=[ \t]*[.!。]\s*(?:\n|$)))"
)
_RUN = r"(?<![A-Za-z0-9_])[A-J]{2,10}(?![A-Za-z0-9_])"
_NOUN = r"(?:(?i:the )?(?i:options?|choices?|letters?|answers?|statements?|items?)\s*|选项\s*|答案\s*)?"
_ONE = rf"{_NOUN}[(\[\"'{{<]{{0,4}}\s?(?:{_UPPER}|{_LOWER}|{_RUN})(?:\s?[)\]\"'}}>]++)?+(?:项|选项)?"
_AND = (
    r"(?:\s*[,、/&;]\s*(?:(?i:and|or)\s+)?"
    r"|\s*(?i:and/or|and|or|nor|as well as|to)\s+|\s*(?:和|或者?|与|及|以及|还是)\s*)"
    r"(?i:possibly |maybe |perhaps |also )?"
)
GROUP = rf"(?P<group>(?>(?i:both |either |neither |all of )?{_ONE}(?:{_AND}{_ONE}){{0,9}}))"

# The words between "answer" and the letter; "not", "might" and "were" among them decide the stance of the claim.
_LINK_WORD = (
    r"(?:is|are|was|were|be|been|being|should|must|has|have|to|will|would|can|only|could|might|may|most|likely"
    r"|probably|therefore|"
    r"thus|hence|clearly|definitely|certainly|then|indeed|still|also|not|isn't|can't|cannot|wasn't|seems?"
    r"|appears?|turns|out|obviously|"
    r"simply|just|actually|now|surely|none|of|given|by|as|it|that|remains|becomes|in fact|I think|I believe|again)"
)
# Bounded, and each space belongs to one part, so that "answer = = = ..." is read in linear time.
_LINK = rf"(?:\s*+(?:[=:→—]|-++>?)|\s++(?i:{_LINK_WORD})\b){{1,9}}\s*+"
_HAN_LINK = (
    r"(?:应该|应当|应|该|就|只能|必须|必然|显然|当然|无疑|肯定|还是|还|仍|也|可能|或许|不|并|而|绝|会|是|为|选择"
    r"|选|即|乃|只有|定|确定|"
    r"[\]:=\->—→]|\s++){1,9}"
)
_ANSWER_NOUN = r"(?:answers?|ans\.?|solution|conclusion|verdict|guess|pick|selection|response|result|final)"
_GOOD = r"(?:correct|right|best|only|true|valid|proper|remaining|matching|suitable|appropriate|strongest|closest)"
_THING = (
    r"(?:answer|option|choice|one|statement|letter|response|candidate|alternative|pick|conclusion"
    r"|description|sentence|explanation)"
)
_END = (
    r"(?=\s*(?:[.,;:!?。、)\]\"'\n]|$|(?i:because|since|as|for|which|and|but|then|here|too|it is)\b|因为|是因|吧|了))"
)

_STATED: Sequence[tuple[str, str]] = (
    ("boxed", rf"\\(?:f?boxed)\s*\{{+\s*{GROUP}"),
    (
        "answer",
        rf"\b(?i:{_ANSWER_NOUN}(?:\s+(?:choice|option|letter|answer))?)[\"')\]]*"
        rf"(?:\s+(?i:to|for|of|in|here|from)\b[^.,;:\n]{{0,60}}?)?{_LINK}{GROUP}",
    ),
    (
        "answer",
        rf"(?m:^|(?<=[.\n]))[ \t\[]*(?i:(?:final |correct )?(?:answer|option"
        rf"|choice))\]?(?:[ \t]*:\s*+|\s++){GROUP}(?=\s*(?:[.,:)]|$|\n))",
    ),
    ("answer", rf"答案\s?{GROUP}(?=\s*(?:[.。;\n]|$))"),
    ("answer", rf"答案(?:[^,。;\n:是为选应]{{0,8}})?{_HAN_LINK}{GROUP}"),
    ("answer", rf"(?m:^)[ \t\[]*(?:答案?|结论|正解|解)[ \t\]:]++(?:是|为|选)?\s*+{GROUP}{_END}"),
    (
        "choice",
        rf"\b(?i:choose|chose|choosing|pick|picked|select|selected|go with|going with|went with|opt for"
        rf"|opted for|opting for|settle on|"
        rf"settle for|vote for|take|answer|change (?:it|my answer|this) to|switch to|stick with|lean towards?"
        rf"|leaning towards?|favou?r)\s+(?i:answer |option |choice )?{GROUP}{_END}",
    ),
    (
        "choice",
        rf"(?:选(?!项)(?:择|取|定|出|中|的是)?|选项(?:应该?|就)?(?:是|为))(?:的?(?:答案"
        rf"|选项)?(?:应该?)?[是为])?[:\s]*{GROUP}",
    ),
    (
        "correct",
        rf"\b(?i:{_GOOD}\s+(?:\w+\s+){{0,2}}?{_THING}(?:\s+(?:left|here|that|which"
        rf"|to)\b[^.,;:\n]{{0,40}}?)?){_LINK}{GROUP}",
    ),
    (
        "correct",
        rf"\b(?i:(?:option|choice|one|answer|statement)\s+(?:that|which|to|out|left"
        rf"|with)\b[^.,;:\n]{{0,50}}?)\b(?i:is|must be|should be)\s*:?\s*"
        rf"{GROUP}{_END}",
    ),
    (
        "correct",
        rf"{GROUP}\s+(?i:is|must be|has to be|remains|was|(?:seems|appears)(?: to be)?"
        rf"|would be)\s+(?i:\w+\s+){{0,2}}?(?i:(?:{_GOOD}|final|my|our)\s+"
        rf"(?:\w+\s+)?{_THING}|the answer|my answer|the one)\b",
    ),
    (
        "correct",
        rf"(?:(?<!不)正确|最佳|最合适|最恰当|最符合|(?<!不)符合[^,。;\n]{{0,8}}|最好|合适|恰当|对|成立"
        rf"|一致)的?(?:答案|选项|一项|那项|说法|那个|表述|推断)?"
        rf"{_HAN_LINK}{GROUP}",
    ),
    (
        "correct",
        rf"{GROUP}(?:才|就|正|即)*(?:是|为)(?:本题|此题|该题|这题|题目)?的?(?:唯一|最终)?(?:的)?(?:正确"
        rf"|最佳)?的?(?:答案|正确选项)",
    ),
    (
        "conclusion",
        rf"\b(?i:so|therefore|thus|hence|consequently|ergo|that leaves|which leaves|this leaves|leaving|leaves"
        rf"|left with|points to|"
        rf"we are left with|in short|definitely|clearly|conclude|concludes|must be|has to be|can only be|it is"
        rf"|it's|it was|it should be|it would be|"
        rf"it could be|it may be|it might be|that is|that's|this is)"
        rf"(?:[,:]|\s+(?i:it|is|must|has|to|be|only|can|should|with|us|me|just|that|the|we|have|get|my|therefore"
        rf"|not)){{0,9}}\s+"
        rf"(?i:answer |option |choice |that )?{GROUP}{_END}",
    ),
    (
        "conclusion",
        rf"(?<![^,。;:!?\n])[ \t]*+(?:所以|因此|故|综上所述|综上|可见|于是|那么|那|应该|只能|必然|应当|肯定|一定|就"
        rf"|而|还是|剩下的?|只剩|只有|应|"
        rf"最后|因而|从而|由此可知|可知|可能|也|或许|我想|我认为|我觉得|我猜|[,:][ \t]*+|[ \t]){{0,8}}(?:是|为"
        rf"|剩|剩下|只剩下?"
        rf"|只有|仅有)\s*{GROUP}{_END}",
    ),
    ("correct", rf"\b(?i:makes?|making)\s+{GROUP}\s+(?i:the|our)\s+(?i:(?:\w+\s+)?{_THING})\b"),
    ("conclusion", rf"(?:(?<=\b[Nn]o, )|(?<=不,)){GROUP}{_END}"),
    ("conclusion", rf"(?<!all )(?<!thing )(?<!none )(?<!one )\b(?i:but)\s+(?i:rather )?{GROUP}{_END}"),
)
_FITS = (
    r"(?:fits?|works?|match(?:es)?|remains?|survives?|(?:is|are) left|satisf(?:y|ies)|holds?|makes? sense"
    r"|is possible|is consistent)"
)
_ADVERB = r"(?:\s+(?:\w+ly|also|the|therefore|thus|indeed|still|in fact|both|all|most|then))*"
_JUDGED: Sequence[tuple[str, str]] = (
    (
        "judgement",
        rf"{GROUP}(?i:\s+(?:is|are|must be|(?:seems?|appears?)(?: to be)?|looks?|has to be|would be|could be"
        rf"|might be|may be){_ADVERB}\s+(?:correct|right|true|best|accurate|valid))\b",
    ),
    ("judgement", rf"(?i:\bonly )\s*{GROUP}\s+(?i:{_FITS})\b"),
    (
        "judgement",
        rf"{GROUP}\s+(?i:{_FITS})(?i: best| all| everything| the (?:clues?|facts|description"
        rf"|conditions?))?\s*(?=[.!\n]|$)",
    ),
    (
        "judgement",
        rf"{GROUP}(?:的?说法|的?表述|两项|三项|的?结论|的?描述)?(?:才|都|均|全|也|是|为|最|完全|显然|则|就|的)*"
        rf"(?:正确|对(?![应比于])|合适|恰当|符合|成立|合理|无误|可选|合题|与[^,。;\n]{{0,8}}(?:相符|一致|吻合))",
    ),
    ("judgement", rf"对应的?(?:是|为|着|选项|答案)*\s*{GROUP}(?=[,。;\n]|$)"),
)
_WRONG = (
    r"(?:wrong|incorrect|false|impossible|mistaken|out\b|excluded|eliminated|ruled out|a distractor|"
    r"not (?:right|correct|possible|true|it\b|the (?:answer|right|correct)))"
)
_REJECTED: Sequence[str] = (
    rf"{GROUP}\s+(?i:is|are|was|were|seems|looks|must be|would be){_ADVERB}\s+(?i:{_WRONG})",
    rf"{GROUP}\s+(?i:cannot be|can't be|could not be|couldn't be|isn't|aren't|wasn't)(?:\s+the)?\s+(?i:right"
    rf"|correct|true|possible|it\b|answer)",
    rf"{GROUP}\s+(?i:contradicts?|fails?|forgets?|ignores?|overlooks?|goes too far|misses|does not (?:fit|work"
    rf"|match|hold)|doesn't (?:fit|work|match|hold))\b",
    rf"\b(?i:excludes?|eliminates?|rules? out|reject|discard)\s+{GROUP}",
    rf"\b(?i:not|can't be|cannot be|isn't)\s+{GROUP}{_END}",
    rf"{GROUP}(?:的?说法|的)?(?:显然|也|就|是|并|都|均|则|其实)*(?:不(?:对|正确|成立|符合|行|是|可能|选)|错|有误"
    rf"|矛盾|排除|可以排除|与[^,。;\n]{{0,14}}(?:矛盾|不符|相反|冲突))",
    rf"(?:排除|不选|不是|否定)\s*{GROUP}",
)
REASON = re.compile(r"\b(?:because|since|for)\b|因为|由于", re.IGNORECASE)

# A bare letter before a word: "B because ..." is an answer, "A bird" and "Vitamin C tablets" are not.
NEXT_WORD = re.compile(r"[ \t]+([A-Za-z]+)")
MAY_FOLLOW = re.compile(
    r"because|since|as|for|so|which|and|but|by|if|when|due|in|with|here|not|instead|rather|the|it|is|are|was"
    r"|were|would|over"
    r"|than|or|to|that|this|on|at|given|considering|while|whereas|although|though|also|then|must|can|cannot|does"
    r"|do|has"
)
NEXT_HAN = re.compile(r"[一-鿿]")
HAN_MAY_FOLLOW = frozenset("项选因由而不并故所这其它是吗呢吧啊了和或对正没才就均都也最符显错有与排可成说完为无则两三")
PLACEHOLDERS = frozenset("XYN")
ALTERNATIVE = re.compile(
    rf"[^.;!?。\n]{{0,200}}?(?:\b(?i:or|as well as)\s+(?i:else |maybe |possibly |also |perhaps |even )*(?P<or>{_ONE})"
    rf"|\b(?i:and)\s+(?i:also )?(?P<and>{_ONE})(?=\s*(?:[.;。\n]|$))|(?:或者?|还是|也?可能是|以及)\s*(?P<zh>{_ONE}))",
)
NO_ALTERNATIVE = re.compile(
    r"\b(?:not|than|because|since|as|neither|whether|either|rules?|excludes?)\b|n't\b|因|不|非|排除", re.IGNORECASE
)
LETTERS = re.compile(rf"{_UPPER}|{_LOWER}|{_RUN}")
LONE = re.compile(r"[(\[\"'{]*\s*([A-Za-z])\s*[)\]\"'}]*\s*[.。!)]?")
LONE_WITH_TEXT = re.compile(r"\(([A-Z])\)\s+\S.*|([A-Z])[.)]\s*\S.*")
OPTION_LINE = re.compile(r"^[ \t\-(]*[A-J][.):、]", re.MULTILINE)
BRACKETED_END = re.compile(
    rf"(?i:\b(?:so|therefore|thus|hence|(?:all|none"
    rf"|both) of the above)\b)[^.;\n]{{0,200}}\((?P<group>{_UPPER})\)(?=\s*(?:[.!\n]|$))"
)

WRONG_THING = re.compile(
    r"(?i:\b(?:wrong|incorrect|false|excluded|eliminated|distractor|fails?|avoid|tempting|weak|except|not)\b"
    r"|n't\b)|错|不"
)
REJECTION = re.compile(
    rf"\s*(?i:is|was|would be)\s+(?i:\w+\s+)?(?i:{_WRONG})|\s*(?:项|选项)?(?:就|显然|则|是|的)*(?:不(?![选是])"
    rf"|错|有误)"
)
PREDICATE = re.compile(
    r"\s+(?:is|are|was|were|do|does|did|can|cannot|has|have|\w+s)\b|都|均|两项|错|不|[是为说才则]|属于"
)
PRAISE = re.compile(r"\s+(?:is|are)\b[^.]{0,40}\b(?:correct|right|true)\b|都对|均正确|都正确")
REVIEWED = re.compile(r"\s*(?:[两三四]项?)?(?:都|均|全|皆)|\s*[两三四]项")

STATED_RULES = [(rule, re.compile(pattern)) for rule, pattern in _STATED]
JUDGED_RULES = [(rule, re.compile(pattern)) for rule, pattern in _JUDGED]
REJECTED_RULES = [re.compile(pattern) for pattern in _REJECTED]

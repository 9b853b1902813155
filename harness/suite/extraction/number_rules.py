"""The patterns of the number rules: what states an answer, what draws a conclusion, and which numbers stand beside it.

`vocabulary` has the words that they share with the rules of letters.
"""

from __future__ import annotations

import re

from harness.suite.extraction.number_forms import NUMBER
from harness.suite.extraction.vocabulary import ANSWER, HAN_ANSWER, HAN_LABEL, HAN_LINK, HAN_SO, LINK, NEXT_STEP, OF, SO

_I = re.IGNORECASE

# A rule and the label before the number.
STATED = (
    # "#### 18", but not the headings "#### Step 2" and "#### 1. Add the boxes"
    ("marker", re.compile(r"####[ \t]*(?=[^\n]*\d)(?![ \t]*[A-Za-z]{2})(?![ \t]*\d+[.):][ \t]+[A-Za-z])")),
    ("boxed", re.compile(r"\\f?boxed\s*\{")),
    ("answer", re.compile(rf"{ANSWER}{OF}{LINK}|{HAN_ANSWER}{HAN_LINK}|{HAN_LABEL}")),
    # "18 apples is the answer": the number itself follows the empty label
    (
        "answer",
        re.compile(rf"(?={NUMBER.pattern}(?:\s+\w+)?\s+(?:is|must be)\s+(?:the|my|our)\s+(?:\w+\s+)?answer\b)", _I),
    ),
)
INTERIM = re.compile("result|output|结果|得数", _I)  # labels that may belong to one step
CONTRAST = re.compile(r"(?:而是|而应该?是|\bbut(?: rather)?)\s*(?=\d)")  # "not 8 but 7"
# Where the phrase with the answer ends.
REASON = re.compile(
    r"\b(?:because|since|as|so that|which|where|given|if|when|after|out of)\b|因为|由于|[;。]|\.(?=\s|$)|\n"
    r"|,(?!\d{3})(?!\s*or\b)|\(|。|!|\?",
    _I,
)

# Calculations
EQUALS = re.compile(r"[=≈]")
MOST_EQUALS = 5  # in one calculation; more are a loop
OPERATOR = re.compile(r"\s*[A-Za-z]*\s*[-+*/×÷x]\s*[$¥€£]?\s*[\d.\\]")
RESULT = re.compile(rf"[=≈]\s*{NUMBER.pattern}", _I)
SUM_LINE = re.compile(r"(?:[^=≈.;。]|\.(?=\d))*(?:[=≈](?:[^=≈.;。]|\.(?!\s*\S)|\.(?=\d))*)+")
SEVERAL = re.compile(  # "x = 2 or x = 5"
    r"(?<![A-Za-z])(?P<name>[A-Za-z])\s*=[^=\n]{1,30}?(?:\band|\bor|或者?|和|及)\s*(?P=name)\s*="
)

# Which of several numbers is the answer
BOUND = re.compile(
    r"(?:\b(?:between|more than|less than|fewer than|at least|at most|over|under|up to)|超过|不到|至少|至多|大于|小于"
    r"|多于|少于)\s*$",
    _I,
)
SUMS = re.compile(
    r"(?:一共|总共|共计|合计|共|总计|还剩下?|剩下?|等于|\btotal(?: of)?|\baltogether)[^\d,。.]{0,8}$"
    r"|\b(?:is|are|be|equals|makes|leaves)\s*$",
    _I,
)
_QUANTITY = (
    "number|amount|cost|price|value|sum|difference|product|average|length|width|height|area|volume|perimeter|distance"
    "|time|speed|age|weight|profit|percentage|probability|fraction|score|total|temperature|population|balance"
)
# "after 3 days", "each of the 4 friends", "a book of 374 pages" stand beside the answer; "a total of 9" is one.
BESIDE = re.compile(
    rf"(?:^|[\n,.]\s*|\b(?!(?:{_QUANTITY})s?\b)\w+\s+)(?:of|in|after|for|at|per|every|each|with|within|during|on)"
    r"(?:\s(?:the|these|those|all|its|his|her|their))?\s?$|\b(?:the|these|those|all)\s?$",
    _I,
)
SUBJECT = re.compile(r"(?:\s(?!(?:and|or|to)\b)[A-Za-z]+){2,6}", _I)  # between the numbers of "15 boxes weigh 36 kg"
BESIDE_AFTER = re.compile(r"\s*[一-鿿]{1,3}[后内里]")  # "3小时后"

# Conclusions
_HAN_QUANTITY = "平均数?|总数|数量|人数|[原单总售定现]?价格?|速度|面积|周长|体积|长度|时间|距离|概率|利润|[和差积商]"
THEREFORE = re.compile(
    rf"\s*(?:(?:{SO}|no|altogether|(?:this|that|which) (?:means|leaves|makes|gives)|(?:I|we) get"
    r"|(?:it|this|that) (?:is|should be|must be|would be|equals|comes to)"
    rf"|the (?:\w+ )?(?:{_QUANTITY}))\b|{HAN_SO}|应该?[是为]|得到?|即|也就是"
    rf"|(?:[一-鿿]{{1,8}}的)?(?:{_HAN_QUANTITY})大?约?[是为])",
    _I,
)
TOTAL = re.compile(
    r"\b(?:total|altogether|in all|left|leaves|remains?|remaining|sum|overall)\b|[加减乘除算解可求]得(?=\d)|一共|总共"
    r"|共计|合计|总计|总价|还剩|剩下|还有|(?<!公)共(?=[^\d,。]{1,3}\d)|得出|总数|总额|总和",
    _I,
)
PART = re.compile(r"\s*(?:其中|包括|including\b|of which\b|of them\b)", _I)
# "17 out of 40", "100 points, which is 20 more", "90分钟，也就是1.5小时": a remark on the number before
ASIDE = re.compile(r",?\s*\b(?:out of|which (?:is|are|was)|i\.e\.|that is)\b|,\s*(?:也就是|即|占|比)", _I)
COMMA = re.compile(r"[,;—](?!\d{3}(?!\d))(?!\s*(?:or\b|或))")

# A number with its unit: "18 km/h.", "36（cm²）", "3个。"
_WORD = r"(?:[A-Za-z°℃²³]+(?:/[A-Za-z]+)?|[一-鿿]{1,6}(?:/[一-鿿]{1,4})?)"
_UNIT = rf"%?(?:[ \t]*\(?{_WORD}(?:[ \t]{_WORD}){{0,2}}(?:\^\{{?[23]\}}?)?\)?)?"
REST = re.compile(rf"{_UNIT}[ \t]*[.。!*]?[ \t]*")
LONE = re.compile(rf"[=≈:\s*]*{NUMBER.pattern}{REST.pattern}", _I)
UNFINISHED = re.compile(
    r"\b(?:by|of|to|and|with|from|for|the|an?|in|is|are|times|plus|minus|per|more|than|each)\s*$", _I
)

# Lists and loops
STEP = re.compile(rf"(?:{NEXT_STEP}).*[^.。!)]", _I)  # "Now add the two: 12 + 64 = 7", cut off
STEP_END = re.compile(r"\n|[.;。](?=\s|$)")
DIGITS = re.compile(r"\d+(?:\.\d+)?")
ITEM = re.compile(r"^[ \t]*\d+[.)][ \t]*", re.MULTILINE)

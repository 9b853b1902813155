r"""The words that state an answer, named once for the rules of letters and numbers: parts of regular expressions.

rf"{ANSWER}{LINK}(?P<value>\w+)"            # "The final answer is therefore: C"
rf"{HAN_ANSWER}{HAN_LINK}(?P<value>\w+)"    # "本题的正确答案应该是C"

The parts ignore case by themselves. Repetitions are bounded or possessive, so a loop is read in linear time.
"""

from __future__ import annotations

_ANSWER = "answers?|ans\\.?|solution|conclusion|verdict|guess|pick|selection|response|result|output|key|final"
_ANSWER = rf"(?:{_ANSWER})(?:\s+(?:choice|option|letter|answer|value))?|(?:selected|chosen) option"
# JSON and code write "final_answer": the word may touch an underscore, and end with a quotation mark or a bracket.
ANSWER = rf"(?<![A-Za-z])(?i:{_ANSWER})(?![A-Za-z])[\"')\]]*"
OF = r"(?:\s+(?i:to|for|of|in|here|from|by)\b[^.,;:\n]{0,60}?)?"  # "the answer to this question is"
# "not", "might" and "were" are among the links: they decide the stance of the claim.
_LINK_WORD = (
    "is|are|was|were|be|been|being|should|must|has|have|to|will|would|can|only|could|might|may|most|likely|probably"
    "|therefore|thus|hence|clearly|definitely|certainly|then|indeed|still|also|not|isn't|can't|cannot|wasn't|seems?"
    "|appears?|turns|out|obviously|simply|just|actually|now|surely|none|of|given|by|as|it|that|remains|becomes"
    "|equals|comes|in fact|I think|I believe|again"
)
_ASIDE = r",\s(?i:then|therefore|thus|hence|again|of course),"
LINK = rf"(?:\s*+(?:[=:>→—|]|-++>)|'s\b|{_ASIDE}|\s++(?i:{_LINK_WORD})\b){{1,9}}\s*+"
IS = (
    "(?i:is|was|are|were|remains|(?:must|has to|should|would|can only|could|might|may|seems?(?: to)?"
    "|appears?(?: to)?|looks?(?: to)?)(?: be)?)"
)

HAN_ANSWER = r"(?:答案|结果|得数|正解)(?:[^,。;\n:是为选应]{0,8})?"
HAN_LABEL = r"(?:(?m:^)|(?<=[。,;.!\s\[]))(?:答|解|回答|结论)[ \t]*[\]:]+"
HAN_LINK = (
    "(?:应该|应当|应|该|就|只能|必须|必然|显然|当然|无疑|肯定|还是|还|仍|也|可能|或许|不|并|而|绝|会|是|为|选择|选|即|乃"
    r"|只有|定|确定|等于|大?约|大概|[\]:=>—→|\"']|-++>|\s++){1,9}"
)
# What opens a conclusion. The pattern around SO ignores case.
SO = (
    "so|therefore|thus|hence|consequently|accordingly|ergo|finally|overall"
    "|in (?:short|total|all|conclusion|summary|the end)"
)
# What announces a step, not a result.
NEXT_STEP = r"\b(?:let me|let's|let us|consider|look|check|compare|next|now)\b|首先|然后|接下来|再看|先看|下面"
HAN_SO = "所以|因此|因而|从而|故|于是|综上所述|综上|由此可[见知]|可[见知]|最后|最终"

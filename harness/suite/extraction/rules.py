"""The rules of extraction by name, each with examples. docs/tasks.md shows them as a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule: what it reads, an English and a Chinese example, and the value that it reads from both."""

    name: str
    reads: str
    english: str
    chinese: str
    value: str


RULES = (
    Rule("boxed", "the content of `\\boxed`", "Thus $\\boxed{\\text{C}}$.", "因此$\\boxed{C}$。", "C"),
    Rule("answer", "what follows a word for the answer", "**Final answer:** (C)", "【答案】C", "C"),
    Rule("choice", "what the writer chooses", "I'd go with C.", "本题应该选Ｃ。", "C"),
    Rule("correct", "what is named as the right option", "The correct option is C.", "符合题意的是C。", "C"),
    Rule("conclusion", "the end of a conclusion", "Therefore, it must be C.", "所以只能是C。", "C"),
    Rule("judgement", "the only option that is called right", "Option C is correct.", "综上，C项正确。", "C"),
    Rule("line", "a letter that is the whole last line", "It has six legs.\n(C)", "它有六条腿。\nC。", "C"),
    Rule("marker", "what follows `####`", "#### 3/4 of the cake", "#### 3/4", "3/4"),
    Rule("boxed", "the content of `\\boxed`", "Thus $\\boxed{\\$1,200}$.", "因此\\boxed{1200}。", "1200"),
    Rule(
        "answer", "the number after a word for the answer", "The answer is 6 x 3 = 18 pens.", "答：一共１８支。", "18"
    ),
    Rule("conclusion", "the number in a final conclusion", "So 13 pens are left.", "所以还剩13支。", "13"),
    Rule("sum", "the result of a calculation on the last line", "6 x 3 = 18", "3×6=18（支）", "18"),
    Rule("line", "a number that is the whole last line", "3 rows of 6.\n18 chairs", "三排，每排六把。\n18把", "18"),
)

"""Ends of generated reasoning, each labelled by hand with the final answer that a careful reader takes from it.

    for case in cases("develop"):
        answer = extract(case.text, case.letters)      # compare with case.answer

The two files hold different texts of the same kinds, in English and Chinese:

- ``develop.jsonl``: use it while you write or change the extraction of answers. It too has generations of
  SmolLM2-135M-Instruct, whose note says so.
- ``held_out.jsonl``: use it to measure the result only. Do not read it, or the cases that fail in it, while you
  change the extraction. Its last 100 cases are unedited generations of SmolLM2-135M-Instruct and Gemma 3 270M (base),
  at most 160 tokens, greedy or at temperature 0.8, some after worked examples. Generations on whose label readers
  would disagree, and most of those that only repeat one line, are left out.

What a label means:

- A letter is one of the item's options, upper case and half width: "(b)" is "B".
- A number is written without currency sign, unit, percent sign, thousands separators or final zeros after the point:
  "$1,200.50" is "1200.5", "18%" is "18", "3万" is "30000". A fraction stays as it is ("3/4"), a mixed number becomes
  an improper fraction ("1 1/2" is "3/2"). Compare numbers by value. A number in words ("twelve") is no answer.
- None: the text states no single final answer. It breaks off, refuses, names several answers without choosing, takes
  back its answer, gives the answer's text but not its letter, or names a letter that the item does not have.

The text up to a new "Question:" or "问题：" decides; what follows belongs to another question. An answer that
corrects an earlier one replaces it. A text that only contradicts itself, without a word of correction, has no answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Case:
    """One ending and its label."""

    text: str
    kind: Literal["letter", "number"]
    letters: str  # the item's options, such as "ABCD"; empty for numbers
    answer: str | None
    language: Literal["en", "zh"]
    note: str  # what makes the case worth having


def cases(name: str) -> list[Case]:
    """Read the cases of ``develop`` or ``held_out``, in the order of the file."""
    lines = Path(__file__).with_name(f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [Case(**json.loads(line)) for line in lines if line]

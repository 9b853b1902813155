"""What identifies an item: its text without names, read from the text alone and not with the generators' own keys."""

from __future__ import annotations

import re
from functools import cache

from harness.suite.generated import NAMES, GeneratedItem, Problem

from .generators import module

CODE_NAMES: tuple[str, ...] = module("code_qa", "functions").NAMES
SCALES: tuple[tuple[str, ...], ...] = module("logic", "ordering").SCALES
DENIALS = [(atom.no, atom.yes) for theme in module("logic", "entailment").THEMES for atom in theme]
THINGS: dict[str, tuple[str, ...]] = {
    "logic": (
        *module("logic", "entailment").TERMS,
        *(atom.yes for theme in module("logic", "entailment").THEMES for atom in theme),
        *module("logic", "knights").DEEDS,
    ),
    "legal": (
        *(text for offence in module("legal", "amounts").OFFENCES for text in offence),
        *(text for paper in module("legal", "amounts").PAPERS for text in paper),
        *(text for subject in module("legal", "conflicts").SUBJECTS for text in subject),
    ),
    "science": tuple(species for chain in module("science", "facts").CHAINS for species in chain),
}


def structure(item: GeneratedItem | Problem) -> str:
    """Question and answer with persons, functions and interchangeable things numbered by first appearance."""
    if isinstance(item, Problem):
        return item.program_prompt.split(">>>")[0]
    domain = item.id.split("-")[0]
    names = CODE_NAMES if domain == "code_qa" else (*NAMES, *THINGS.get(domain, ()))
    text = f"{item.question} {item.choices[item.answer]}"
    if domain == "logic":
        for words in zip(*SCALES, strict=True):
            text = re.sub(rf"\b(?:{'|'.join(words)})\b", words[0], text)
        for denial, clause in DENIALS:
            text = re.sub(denial, f"not {clause}", text, flags=re.IGNORECASE)
        text = text.replace("Whenever", "If")
    numbers: dict[str, int] = {}
    return _pattern(names).sub(lambda match: f"#{numbers.setdefault(match[0].lower(), len(numbers))}", text)


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)

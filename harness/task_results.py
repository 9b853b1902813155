"""Scoring functions that task YAML refers to, such as ``harness.task_results.letter``; see `suite.process_results`."""

from harness.suite.process_results import (
    bleu,
    bleu_of_file,
    cloze,
    letter,
    letter_answer,
    literal_answer,
    number_answer,
    pairs,
    programs,
    programs_and_bleu,
    shared,
    subset,
)

__all__ = [
    "bleu",
    "bleu_of_file",
    "cloze",
    "letter",
    "letter_answer",
    "literal_answer",
    "number_answer",
    "pairs",
    "programs",
    "programs_and_bleu",
    "shared",
    "subset",
]

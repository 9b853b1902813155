"""The filters that read final answers, which task YAML refers to as ``harness.answers.letter`` and ``.number``.

The code is in `harness.suite.answer_filter`.
"""

from harness.suite.answer_filter import letter, number

__all__ = ["letter", "number"]

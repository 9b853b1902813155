"""The final answer of a generated text: its value, where it stands, and the rule that found it.

    extract_letter("Copper conducts. The answer is (C).", "ABCD")    # Extracted("C", (21, 33), "answer")
    extract_letter("The answer is (A) or (B).", "ABCD")              # None: ambiguous is unparsed, never a guess

`text` brings a text into one form, `letters` and `numbers` find claims about the answer, and `claims` decides which
claim stands. The patterns are in `letter_rules` and `number_rules`, the words that both use in `vocabulary`.
docs/tasks.md has the table of the rules, which a test compares with `RULES`.

To add a way of stating an answer, extend `vocabulary` or a pattern, and add a case to
tests/suite/endings/develop.jsonl. It should be a form that people write, not a string that one model wrote.
"""

from harness.suite.extraction.extracted import UNPARSED_RESPONSE, Extracted, response_value, to_response
from harness.suite.extraction.letters import extract_letter
from harness.suite.extraction.number_forms import value_of
from harness.suite.extraction.numbers import extract_number
from harness.suite.extraction.rules import RULES, Rule

__all__ = [
    "RULES",
    "UNPARSED_RESPONSE",
    "Extracted",
    "Rule",
    "extract_letter",
    "extract_number",
    "response_value",
    "to_response",
    "value_of",
]

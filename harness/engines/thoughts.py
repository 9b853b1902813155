r"""The reasoning that a thinking model writes before its answer, between tags such as ``<think>`` and ``</think>``.

    "<think>2 and 2 make\n\n4</think>\n\nThe answer is 4."   ->   answer: "The answer is 4."

Only the answer is scored. Stop strings end the answer, never the thought. Some chat templates write the opening tag
themselves, so that the prompt ends in it and the text starts within the thought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Opening tag by closing tag. The opening tag tells unfinished reasoning from an answer without reasoning.
_STARTS = {
    "</think>": "<think>",
    "</thinking>": "<thinking>",
    "</thought>": "<thought>",
    "</reasoning>": "<reasoning>",
    "</seed:think>": "<seed:think>",
    "[/THINK]": "[THINK]",
    "◁/think▷": "◁think▷",
    "<|end_of_thought|>": "<|begin_of_thought|>",
    "<|END_THINKING|>": "<|START_THINKING|>",
}
_FILES = ("chat_template.jinja", "tokenizer_config.json", "added_tokens.json", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class ThinkTags:
    """The tags around a thought; `start` is empty if it is not known."""

    start: str
    end: str

    @classmethod
    def of(cls, end: str) -> ThinkTags:
        """Return the tags with this closing tag."""
        return cls(_STARTS.get(end, end.replace("/", "", 1) if "/" in end else ""), end)

    def opened_by(self, prompt: str) -> bool:
        """Whether a prompt ends within a thought."""
        return bool(self.start) and prompt.rstrip().endswith(self.start)

    def is_inside(self, text: str, prompt: str) -> bool:
        """Whether a text ends within a thought. With an unknown opening tag, every text starts within one."""
        if self.end in text:
            return False
        return not self.start or self.start in text or self.opened_by(prompt)

    def answer(self, text: str, prompt: str) -> str | None:
        """Return the text after the thought, or the whole text if there is none; None if the thought is not closed."""
        if self.is_inside(text, prompt):
            return None
        return text.rpartition(self.end)[2].lstrip() if self.end in text else text

    def cut(self, text: str, prompt: str, stops: Sequence[str]) -> str:
        """Return the text up to the first stop string of its answer; the thought stays whole."""
        if self.is_inside(text, prompt):
            return text
        thought, tag, rest = text.rpartition(self.end)
        answer = rest.lstrip() if tag else rest  # "</think>\n\n4": the empty lines are not the end of the answer
        space = rest[: len(rest) - len(answer)]
        for stop in stops:
            answer = answer.split(stop)[0]
        return thought + tag + space + answer


def find_tags(tokenizer: Path) -> ThinkTags | None:
    """Return the tags that a tokenizer's chat template or tokens hold; None if it has none."""
    for name in _FILES:
        path = tokenizer / name
        content = path.read_bytes() if path.is_file() else b""
        for end in _STARTS:
            # In JSON a token stands alone between quotes; other words of the vocabulary may contain it.
            wanted = f'"{end}"' if name == "tokenizer.json" else end
            if wanted.encode() in content:
                return ThinkTags.of(end)
    return None

"""Which tokens a tokenizer adds before every text, such as BOS, and after it, such as EOS or SEP.

Tokenizers add them in many ways (``add_eos_token``, a post-processor, custom code), so they are found by encoding short
texts. With BOS = 1 and EOS = 2, "a" may become

    with special tokens     1 5 2
    without                   5       ->  in front: 1, behind: 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TEXTS = ("a", "b")


@dataclass(frozen=True, slots=True)
class AddedTokens:
    """Ids of the tokens that are added to every text."""

    front: tuple[int, ...]
    behind: tuple[int, ...]


def added_tokens(tokenizer: PreTrainedTokenizerBase, special: bool | None) -> AddedTokens:
    """Return what the tokenizer adds.

    Args:
        tokenizer: The tokenizer.
        special: Whether it is told to add special tokens; None leaves it to the tokenizer.
    """
    bare, other = (_encode(tokenizer, text, special=False) for text in _TEXTS)
    # A tokenizer with code of its own may add tokens even to a text without special tokens.
    always = _common_end(bare, other, set(tokenizer.all_special_ids))
    core = bare[: len(bare) - len(always)]
    whole = _encode(tokenizer, _TEXTS[0], special=special)
    for start in range(len(whole) - len(core) + 1):
        end = start + len(core)
        if core and whole[start:end] == core:
            return AddedTokens(tuple(whole[:start]), tuple(whole[end:]))
    return AddedTokens((), tuple(always))


def _encode(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool | None) -> list[int]:
    arguments: dict[str, Any] = {} if special is None else {"add_special_tokens": special}
    return list(tokenizer(text, return_attention_mask=False, verbose=False, **arguments)["input_ids"])


def _common_end(first: Sequence[int], second: Sequence[int], special: set[int]) -> list[int]:
    """Return the special tokens with which both texts end."""
    count = 0
    while count < min(len(first), len(second)):
        token = first[-1 - count]
        if token != second[-1 - count] or token not in special:
            break
        count += 1
    return list(first[len(first) - count :])

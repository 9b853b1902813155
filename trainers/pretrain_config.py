"""The configuration of pretraining: transformers' own, and the one field that it lacks.

It is apart from `pretrain.py` because importing it imports torch, and because a saved state names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class PretrainConfig(TrainingArguments):
    """TrainingArguments, and the number of tokens in a packed sequence."""

    max_length: int = field(default=1024, metadata={"help": "Tokens of a packed sequence."})

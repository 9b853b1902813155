"""The configuration of pretraining: transformers' own plus the sequence length.

A file of its own because importing it imports torch, and because saved states refer to the class by this path.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class PretrainConfig(TrainingArguments):
    """TrainingArguments plus the number of tokens in a packed sequence."""

    max_length: int = field(default=1024, metadata={"help": "Tokens per packed sequence."})

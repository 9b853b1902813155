"""The configuration of pretraining: transformers' own plus the fields of packing.

A file of its own because importing it imports torch, and because saved states refer to the class by this path.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class PretrainConfig(TrainingArguments):
    """TrainingArguments plus how documents are packed.

    Attributes:
        max_length: Tokens per packed sequence.
        separate_documents: Whether the documents of a sequence must not see each other.
    """

    max_length: int = field(default=1024, metadata={"help": "Tokens per packed sequence."})
    separate_documents: bool = field(default=True, metadata={"help": "Keep the documents of a sequence apart."})

"""Arguments of lm-eval's model that quantise weights while they are loaded; a .gguf file's are quantised already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.errors import InputError

QUANTIZING = (
    "load_in_4bit", "load_in_8bit", "quantization_config", "bnb_4bit_quant_type", "bnb_4bit_compute_dtype",
    "bnb_4bit_use_double_quant", "autogptq", "gptqmodel", "gptq_use_triton",
)  # fmt: skip


def refuse_for_gguf(arguments: Mapping[str, Any], sources: Iterable[str | None]) -> None:
    """Refuse `QUANTIZING` arguments if one of the sources of weights is a .gguf file.

    Raises:
        InputError: One is given, and is not turned off.
    """
    given = next((name for name in QUANTIZING if arguments.get(name) not in (None, False)), None)
    file = next((source for source in sources if source is not None and source.lower().endswith(".gguf")), None)
    if given is not None and file is not None:
        raise InputError(
            f"--model_args {given}={arguments[given]}: {file} is quantised already, and its weights are read as they "
            "are; leave the argument out, or give the transformers folder of the same model."
        )

"""The command line and the model's arguments as records keep them: without passwords and keys, which stay private.

--hf_hub_log_args token=hf_abc,public_repo=True         token=***,public_repo=True
--model_args '{"api_key": "sk-1", "timeout": 9}'        {"api_key": "***", "timeout": 9}
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"
# Names of a tokenizer's tokens and numbers of tokens are no secrets.
_KEY = r"[\w.-]*(?:(?<!bos_)(?<!eos_)(?<!pad_)(?<!unk_)(?<!end_)token|api[_-]?key|secret[\w.-]*|password|authorization)"
_PAIR = re.compile(rf"((?:^|(?<=[\s,=]))-*{_KEY}\s*=\s*)('[^']*'|\"[^\"]*\"|[^,]+)", re.IGNORECASE)
_IN_MAPPING = re.compile(
    rf"""((?P<around>["']){_KEY}(?P=around)\s*:\s*)(?:(?P<quote>["'])(?:\\.|(?!(?P=quote)).)*(?P=quote)|[^,}}\]\s]+)""",
    re.IGNORECASE,
)


def recorded_command(words: Sequence[str]) -> str:
    """Return a command line with `HIDDEN` in place of the values of ``token``, ``api_key`` and similar arguments."""
    return shlex.join([without_secrets(word) for word in words])


def without_secrets(word: str) -> str:
    """Return a word whose ``key=value`` pairs and JSON keep no secrets."""
    word = _IN_MAPPING.sub(lambda found: f"{found[1]}{found['around']}{HIDDEN}{found['around']}", word)
    return _PAIR.sub(lambda found: f"{found[1]}{HIDDEN}", word)


def without_secret_values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with `HIDDEN` in place of secret values, at any depth of mappings."""
    return {
        key: HIDDEN
        if re.fullmatch(_KEY, str(key), re.IGNORECASE)
        else without_secret_values(value)
        if isinstance(value, Mapping)
        else value
        for key, value in arguments.items()
    }

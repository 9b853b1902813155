"""Redaction: command lines, arguments and messages without passwords and keys, for records and for the terminal.

--hf_hub_log_args token=hf_abc,public_repo=True         token=***,public_repo=True
--model_args '{"api_key": "sk-1", "timeout": 9}'        {"api_key": "***", "timeout": 9}
base_url=https://ann:secret@host/v1?token=abc&n=1       base_url=https://ann:***@host/v1?token=***&n=1
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

HIDDEN = "***"
# Names of a tokenizer's tokens and numbers of tokens are no secrets.
_KEY = (
    r"[\w.-]*(?:(?<!bos_)(?<!eos_)(?<!pad_)(?<!unk_)(?<!end_)token|(?:api|access|private)[_-]?key|secret[\w.-]*|"
    r"passw(?:or)?d|passphrase|authorization)"
)
_PAIR = re.compile(rf"((?:^|(?<=[\s,=]))-*{_KEY}\s*=\s*)('[^']*'|\"[^\"]*\"|[^,]+)", re.IGNORECASE)
_IN_MAPPING = re.compile(
    rf"""((?P<around>["']){_KEY}(?P=around)\s*:\s*)(?:(?P<quote>["'])(?:\\.|(?!(?P=quote)).)*(?P=quote)|[^,}}\]\s]+)""",
    re.IGNORECASE,
)
# A URL may stand within key=value pairs or JSON: there, the next pair or a closing quote ends it.
_WITHIN = r"""(?:(?!,[\w.-]+=|["'](?:[\s,:}\])]|$))[^\s%s])"""
# RFC 3986, 3.2.1: scheme://user:password@host. A lone word before the @ is often a token, as in https://ghp_1@host.
_USER = re.compile(rf"(://)(?:((?:(?!:){_WITHIN % '/?#'})*):)?{_WITHIN % '/?#'}+@")
_QUERY = re.compile(
    rf"([?&;#](?:{_KEY}|(?:[\w.-]*[_-])?(?:key|sig|signature|credential|auth|code|pwd))=){_WITHIN % '&#'}+",
    re.IGNORECASE,
)


def recorded_command(words: Sequence[str]) -> str:
    """Return a command line with `HIDDEN` in place of the values of ``token``, ``api_key`` and similar arguments."""
    return shlex.join([without_secrets(word) for word in words])


def without_secrets(word: str) -> str:
    """Return a word whose ``key=value`` pairs, JSON and URLs keep no secrets."""
    word = _IN_MAPPING.sub(lambda found: f"{found[1]}{found['around']}{HIDDEN}{found['around']}", word)
    return without_url_secrets(_PAIR.sub(lambda found: f"{found[1]}{HIDDEN}", word))


def without_url_secrets(text: str) -> str:
    """Return a text whose URLs keep no password, and no token or key in their query."""
    text = _USER.sub(lambda found: f"{found[1]}{'' if found[2] is None else found[2] + ':'}{HIDDEN}@", text)
    return _QUERY.sub(lambda found: f"{found[1]}{HIDDEN}", text)


def without_secret_values(
    arguments: Mapping[str, Any], *, within: Callable[[str], str] = without_url_secrets
) -> dict[str, Any]:
    """Return arguments with `HIDDEN` in place of secret values, at any depth.

    Args:
        arguments: By name.
        within: What hides the secrets within other values: `without_secrets` if these are words of a command line.
    """

    def hidden(value: Any) -> Any:
        if isinstance(value, Mapping):
            return without_secret_values(value, within=within)
        if isinstance(value, list | tuple):
            values = map(hidden, value)
            return list(values) if isinstance(value, list) else tuple(values)
        return within(value) if isinstance(value, str) else value

    return {
        key: HIDDEN if re.fullmatch(_KEY, str(key), re.IGNORECASE) else hidden(value)
        for key, value in arguments.items()
    }

"""How chats become prompts: by a tokenizer's template, without loading weights, or as a service's messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from harness.errors import InputError, first_line


class Template(Protocol):
    """Renders a chat as the text of a request."""

    @property
    def text(self) -> str:
        """The template itself, for the record."""

    def __call__(self, chat_history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
        """Render a chat."""


class ServiceMessages:
    """Renders a chat as its messages in JSON; a chat service makes the prompt itself."""

    text = "messages"

    def __call__(self, chat_history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:  # noqa: ARG002
        """Render a chat."""
        return json.dumps(chat_history, ensure_ascii=False)


class TokenizerChatTemplate:
    """Renders chats as lm-eval's ``hf`` model does.

    Args:
        tokenizer: Folder of the tokenizer.
        name: Name of one of several templates; None uses the only or default one.
        trust_remote_code: Whether a tokenizer's own code may run.

    Raises:
        InputError: the tokenizer has no template, or none of that name.
    """

    def __init__(self, tokenizer: Path, *, name: str | None = None, trust_remote_code: bool = False) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(str(tokenizer), trust_remote_code=trust_remote_code)
        except Exception as error:  # a damaged file can make the library raise anything
            raise InputError(
                f"--apply_chat_template: the tokenizer in {tokenizer} cannot be opened ({first_line(error)})."
            ) from error
        try:
            self.text: str = self._tokenizer.get_chat_template(chat_template=name)
        except ValueError:
            missing = f"template {name!r}" if name else "chat template"
            raise InputError(
                f"--apply_chat_template: the tokenizer in {tokenizer} has no {missing}; leave the flag out, or add the "
                "template to the tokenizer."
            ) from None

    def __call__(self, chat_history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
        """Render a chat. A template that refuses a system message is given the chat without it, as in lm-eval."""
        from jinja2.exceptions import TemplateError

        try:
            return self._render(chat_history, add_generation_prompt=add_generation_prompt)
        except TemplateError:
            without = [message for message in chat_history if message["role"] != "system"]
            return self._render(without, add_generation_prompt=add_generation_prompt)

    def _render(self, chat: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        rendered: Any = self._tokenizer.apply_chat_template(
            chat,
            chat_template=self.text,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        assert isinstance(rendered, str)
        return rendered

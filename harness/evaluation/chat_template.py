"""How chats become prompts: by a tokenizer's template, without loading weights, or as a service's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.errors import InputError, first_line

# Arguments of transformers' `apply_chat_template` that decide the form of what it returns.
_SET_HERE = (
    "conversation", "chat_template", "tokenize", "add_generation_prompt", "continue_final_message", "padding",
    "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs",
)  # fmt: skip


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

    def __init__(self, *, system_as_user: bool = False) -> None:
        self._system_as_user = system_as_user

    def __call__(self, chat_history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:  # noqa: ARG002
        """Render a chat."""
        chat = _without_system(chat_history) if self._system_as_user else chat_history
        return json.dumps(chat, ensure_ascii=False)


class TokenizerChatTemplate:
    """Renders chats as lm-eval's ``hf`` model does.

    Args:
        tokenizer: Folder of the tokenizer.
        name: Name of one of several templates; None uses the only or default one.
        trust_remote_code: Whether a tokenizer's own code may run.
        system_as_user: Put a system message in front of the first user message, for templates without a system role.
        variables: Further variables of the template, such as ``{"enable_thinking": False}``.

    Raises:
        InputError: the tokenizer has no template, or none of that name.
    """

    def __init__(
        self,
        tokenizer: Path,
        *,
        name: str | None = None,
        trust_remote_code: bool = False,
        system_as_user: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        from transformers import AutoTokenizer

        self._system_as_user, self._variables = system_as_user, dict(variables or {})
        wrong = next((name for name in self._variables if name in _SET_HERE), None)
        if wrong is not None:
            raise InputError(f"--chat_template_args {wrong}: is set by the harness; leave it out.")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(str(tokenizer), trust_remote_code=trust_remote_code)
        except Exception as error:  # a damaged file can make the library raise anything
            raise InputError(
                f"--apply_chat_template: the tokenizer in {tokenizer} cannot be opened ({first_line(error)})."
            ) from error
        own = self._tokenizer.chat_template
        names = list(own) if isinstance(own, dict) else ["default"] if own else []
        if name is not None and name not in names:  # transformers would take the name for the template itself
            raise InputError(
                f"--apply_chat_template {name}: the tokenizer in {tokenizer} has no template of this name; it has "
                f"{', '.join(names) or 'none'}. Without a name, its default is used."
            )
        try:
            self.text: str = self._tokenizer.get_chat_template(chat_template=name if isinstance(own, dict) else None)
        except ValueError:
            missing = f"template {name!r}" if name else "chat template"
            raise InputError(
                f"--apply_chat_template: the tokenizer in {tokenizer} has no {missing}; leave the flag out, or add the "
                "template to the tokenizer."
            ) from None

    def __call__(self, chat_history: list[dict[str, str]], *, add_generation_prompt: bool = True) -> str:
        """Render a chat.

        Raises:
            InputError: the template refuses the system message or leaves it out. (lm-eval drops it then.)
        """
        from jinja2.exceptions import TemplateError

        chat = _without_system(chat_history) if self._system_as_user else chat_history
        system = [message["content"].strip() for message in chat if message["role"] == "system"]
        try:
            text = self._render(chat, add_generation_prompt=add_generation_prompt)
        except TemplateError as error:
            if system:
                self._render(_only_others(chat), add_generation_prompt=add_generation_prompt)  # raises for other faults
                raise _no_system_role(first_line(error)) from error
            raise
        if any(content not in text for content in system):
            raise _no_system_role("it leaves the message out")
        return text

    def _render(self, chat: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        rendered: Any = self._tokenizer.apply_chat_template(
            chat,
            chat_template=self.text,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **self._variables,
        )
        assert isinstance(rendered, str)
        return rendered


def _without_system(chat: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the chat with its system messages in front of the first user message."""
    system = [message["content"] for message in chat if message["role"] == "system"]
    rest = [dict(message) for message in _only_others(chat)]
    first = next((message for message in rest if message["role"] == "user"), None)
    if system and first is not None:
        first["content"] = "\n\n".join([*system, first["content"]])
    return rest


def _only_others(chat: list[dict[str, str]]) -> list[dict[str, str]]:
    return [message for message in chat if message["role"] != "system"]


def _no_system_role(reason: str) -> InputError:
    return InputError(
        "--apply_chat_template: the chat template takes no system message, from --system_instruction or the task's "
        f"description ({reason}); give --system_as_user to put it in front of the first user message, or name another "
        "template."
    )

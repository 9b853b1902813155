r"""Renders the templates of task files in Jinja's sandbox, and compiles each of them once.

A template of text and fields alone, such as ``Question: {{question}}\nAnswer:``, is joined without Jinja, which would
take ten times as long.

lm-eval renders ``doc_to_text`` and its other templates in an environment that allows everything, so a task file could
run a shell::

    doc_to_text: "{{cycler.__init__.__globals__.os.popen('...')}}"

It also compiles a template anew for each item. `install` replaces lm-eval's environment and its function
``apply_template``; everything else about a template stays as it is there. If lm-eval has no such function any more, no
task is loaded. If it renders `EXAMPLES` in another way than ours, it renders all templates itself, in the sandbox.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    Render = Callable[[Mapping[str, Any]], str]

MAX_COMPILED = 4096
PLAIN = {str, int, float, bool}  # Jinja writes a value of these as `str` does
_ITEM = {"question": "Why?\n", "number": 3, "share": 0.5, "choices": ["a", "b"], "nothing": None}
# What ours must write as lm-eval does: fields alone, other values, and statements.
EXAMPLES = (
    "Q: {{question}}\nA {{number}} {{share}}:\n",
    "{{choices}} {{nothing}}",
    "{% for each in choices %}{{loop.index}}. {{each | upper}}\n{% endfor %}{{ choices[1] ~ question.strip() }}",
)


def install() -> None:
    """Make lm-eval render templates in the sandbox, in this process. Raises: HarnessError if it does not fit."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils

    own, environment = utils.apply_template, getattr(utils, "env", None)
    if isinstance(environment, ImmutableSandboxedEnvironment):
        return
    if environment is None or "from_string" not in own.__code__.co_names:
        raise HarnessError(
            "this version of lm-eval renders templates in another way than the sandbox expects; install the version "
            "that pyproject.toml names"
        )
    utils.env = _sandboxed(environment)
    compiled = functools.lru_cache(MAX_COMPILED)(lambda template: _compiled(utils.env, template))

    def apply_template(template: str, doc: dict[str, Any]) -> str:
        return compiled(template)(doc)

    if all(apply_template(example, _ITEM) == own(example, _ITEM) for example in EXAMPLES):
        utils.apply_template = apply_template


def _compiled(environment: Any, template: str) -> Render:
    render = environment.from_string(template).render
    parts = _text_and_fields(environment, template)
    if parts is None:
        return lambda doc: str(render(**doc))

    def join(doc: Mapping[str, Any]) -> str:
        values = [part if field is None else doc.get(field) for part, field in parts]
        if all(type(value) in PLAIN for value in values):
            return "".join(map(str, values))
        return str(render(**doc))  # for a list or a missing field, Jinja decides what to write or raise

    only = parts[0][1] if len(parts) == 1 else None
    if only is None:
        return join

    def one_field(doc: Mapping[str, Any]) -> str:
        value = doc.get(only)
        return value if type(value) is str else join(doc)

    return one_field


def _text_and_fields(environment: Any, template: str) -> list[tuple[str, str | None]] | None:
    r"""Return a template's parts, or None if it has any but text and fields.

    ``Q: {{question}}\nA:`` has the parts ``[("Q: ", None), ("", "question"), ("\nA:", None)]``.
    """
    from jinja2 import nodes

    body = environment.parse(template).body
    outputs = [part for each in body if isinstance(each, nodes.Output) for part in each.nodes]
    parts: list[tuple[str, str | None]] = []
    for part in outputs:
        if isinstance(part, nodes.TemplateData):
            parts.append((part.data, None))
        elif isinstance(part, nodes.Name) and part.name != "self":  # `self` is the template
            parts.append(("", part.name))
        else:
            return None
    return parts if all(isinstance(each, nodes.Output) for each in body) else None


def _sandboxed(environment: Any) -> ImmutableSandboxedEnvironment:
    """Return an environment like `environment`, with its filters and settings, in which templates are harmless."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    sandboxed = ImmutableSandboxedEnvironment(
        loader=environment.loader,
        undefined=environment.undefined,
        keep_trailing_newline=environment.keep_trailing_newline,
        trim_blocks=environment.trim_blocks,
        lstrip_blocks=environment.lstrip_blocks,
    )
    sandboxed.filters |= environment.filters
    return sandboxed

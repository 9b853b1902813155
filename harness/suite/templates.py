"""Renders the templates of task files in Jinja's sandbox, and compiles each of them once.

lm-eval renders ``doc_to_text`` and its other templates in an environment that allows everything, so a task file could
run a shell::

    doc_to_text: "{{cycler.__init__.__globals__.os.popen('...')}}"

It also compiles a template anew for each item. `install` replaces lm-eval's environment and its function
``apply_template``; everything else about a template stays as it is there. If lm-eval has no such function any more, no
task is loaded.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_COMPILED = 4096


def install() -> None:
    """Make lm-eval render templates in the sandbox, in this process. Raises: HarnessError if it does not fit."""
    from lm_eval import utils

    if getattr(utils.apply_template, "sandboxed", False):
        return
    environment = getattr(utils, "env", None)
    if environment is None or "from_string" not in utils.apply_template.__code__.co_names:
        raise HarnessError(
            "this version of lm-eval renders templates in another way than the sandbox expects; install the version "
            "that pyproject.toml names"
        )
    utils.env = _sandboxed(environment)
    compiled = functools.lru_cache(MAX_COMPILED)(utils.env.from_string)

    def apply_template(template: str, doc: dict[str, Any]) -> str:
        rendered: Template = compiled(template)
        return rendered.render(**doc)

    apply_template.sandboxed = True  # type: ignore[attr-defined]
    utils.apply_template = apply_template


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

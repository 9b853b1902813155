"""The templates of all pages, with their style sheet and script inlined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.visible import visible

TEMPLATES = Path(__file__).parent / "templates"


def render_template(name: str, values: Mapping[str, Any]) -> str:
    """Return a page; texts are escaped, and characters that turn text around are shown as escapes.

    Args:
        name: File name of the template.
        values: What the template shows; `style` and `script` are added.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(name).render(style=_own("style.css"), script=_own("script.js"), **values)
    return visible(page)


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file

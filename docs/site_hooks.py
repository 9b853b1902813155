"""Hooks of the documentation site: links to files of the repository outside docs/ lead to copies within the site.

A page writes ``[quickstart.yaml](../experiments/quickstart.yaml)``, which works in the repository. The site has the
copy ``files/experiments/quickstart.yaml``, and the link leads there. A link to a file that does not exist stays as it
is, so that a strict build reports it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = re.compile(r"\]\(\.\./([\w./-]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each linked file of the repository to the files of the site."""
    pages = [page.content_string for page in files.documentation_pages()]
    for name in sorted({name for page in pages for name in OUTSIDE.findall(page) if (ROOT / name).is_file()}):
        files.append(File.generated(config, f"files/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links to files of the repository to their copies."""
    return OUTSIDE.sub(lambda link: f"](files/{link[1]}" if (ROOT / link[1]).is_file() else link[0], markdown)

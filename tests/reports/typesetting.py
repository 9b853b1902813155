"""Typeset LaTeX tables as a paper does, where pdflatex is installed, and read what it complains about."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PAPER = r"""\documentclass[twocolumn%s]{article}
\usepackage{booktabs}
\usepackage{siunitx}
\begin{document}
%s
\end{document}
"""
MISSING = "pdflatex is missing: sudo apt-get install texlive-latex-recommended texlive-science"


def has_latex() -> bool:
    return shutil.which("pdflatex") is not None


def complaints(parts: Sequence[str], folder: Path, *, options: str = "") -> list[str]:
    """Return the overfull lines, floats that are too large, and errors of a paper with these parts."""
    (folder / "paper.tex").write_text(PAPER % (options, "\n\\clearpage\n".join(parts)), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "paper.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    found = re.findall(r"^(?:!.*|Overfull \\hbox.*|.*Float too large.*|.*undefined.*)$", done.stdout, re.MULTILINE)
    wide = [re.search(r"Overfull \\hbox \((\d+\.\d+)pt", one) for one in found]
    return [one for one, match in zip(found, wide, strict=True) if match is None or float(match[1]) > 1.0]

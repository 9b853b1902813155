"""The command line starts fast, and its page is what the help prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"torch", "transformers", "lm_eval", "datasets", "pandas", "vllm", "trl", "peft"}


@pytest.mark.parametrize(
    "code",
    [
        "import harness",
        "from harness.cli import build_parser\nbuild_parser().format_help()",
        "from harness.cli import main\nmain(['tasks', 'list'])",
    ],
    ids=["import", "help", "tasks list"],
)
def test_starting_imports_nothing_heavy(code: str) -> None:
    assert not _modules_after(code) & HEAVY


def test_a_dash_works_where_lm_eval_has_an_underscore() -> None:
    from harness.cli import with_underscores

    words = ["eval", "--num-fewshot", "5", "--output-path=a-b", "--", "--not-a-flag"]
    assert with_underscores(words) == ["eval", "--num_fewshot", "5", "--output_path=a-b", "--", "--not-a-flag"]


def test_the_command_line_page_is_what_help_prints() -> None:
    from docs.make_cli_page import page

    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page(), "run `python docs/make_cli_page.py`"

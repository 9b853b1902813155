"""The house rules that a reader relies on: who imports whom, what starts fast, what the help says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Room -> rooms it may import. Rooms are modules of `harness` unless they are the top-level packages.
LEAVES = {"errors", "metrics", "stats", "paths", "items", "versions"}
MIDDLE = {
    "checkpoints", "digests", "gguf", "lineage", "runs", "journal", "catalogue", "chat", "data",
    "data_fetch", "requests", "suite_check", "task_selection", "sandbox", "scorers", "mini", "code_answers",
}  # fmt: skip
TOP = {
    "cli", "experiment", "evaluation_run", "evaluation_spec", "evaluation_record", "candidates",
    "rescoring", "__main__",
}  # fmt: skip


def _imports(path: Path) -> set[str]:
    """Rooms of the house that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "harness" and len(parts) > 1:
                found.add(parts[1])
            elif parts[0] in ("trainers", "reports"):
                found.add(parts[0])
    return found


def _room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] != "harness" else parts[1].removesuffix(".py")


def _sources() -> list[Path]:
    return [p for folder in ("harness", "trainers", "reports") for p in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", _sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_room_imports_only_the_rooms_it_may(path: Path) -> None:
    room, imported = _room(path), _imports(path) - {"__version__"}
    if room in TOP:
        assert "trainers" not in imported, "trainers are reached by their entry point only"
        return
    imported -= {room}
    assert not imported & TOP, f"{room} imports what stands above it"
    if room in LEAVES:
        assert imported <= LEAVES
    elif room == "trainers":
        assert imported <= LEAVES | {
            "checkpoints", "digests", "lineage", "sandbox", "mini", "code_answers", "data", "gguf",
        }  # fmt: skip
    elif room == "reports":
        assert imported <= LEAVES | {"runs", "records", "lineage"}
    elif room in MIDDLE:
        assert imported <= LEAVES | MIDDLE
    else:
        assert "trainers" not in imported


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

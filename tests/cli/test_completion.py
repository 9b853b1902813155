"""`harness completion bash` works in a real bash: commands, flags, choices, names of tasks and paths are completed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.completion_words import task_names
from harness.suite.catalogue import Catalogue
from tests.conftest import HarnessCommand

# What bash does on the tab key: it sets COMP_WORDS and COMP_CWORD and calls the function that `complete` registered.
PRESS_TAB = r"""
source "$1"; shift
function_name=$(complete -p harness | sed -E 's/.*-F ([^ ]+) .*/\1/')
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
"$function_name" harness "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


PressTab = Callable[..., set[str]]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "completion", "bash"], capture_output=True, text=True, check=True
    )
    file = tmp_path_factory.mktemp("completion") / "completion.sh"
    file.write_text(done.stdout, encoding="utf-8")
    return file


@pytest.fixture
def press_tab(script: Path, tmp_path: Path) -> PressTab:
    """A function that returns what bash offers for the last of some words."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkfile.yaml").touch()

    def press(*words: str) -> set[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", PRESS_TAB, "bash", str(script), "harness", *words],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return {line.strip() for line in done.stdout.splitlines() if line.strip()}

    return press


def test_bash_completes_commands_flags_choices_and_paths(press_tab: PressTab) -> None:
    assert press_tab("ev") == {"eval"}
    assert {"eval", "compare", "run", "tasks", "completion"} <= press_tab("")
    assert press_tab("tasks", "val") == {"validate"}
    assert press_tab("eval", "--num") == {"--num_fewshot"}
    assert {"--config", "--model", "--tasks", "--samples"} <= press_tab("eval", "--")
    assert press_tab("tasks", "list", "--form") == {"--format"}
    assert press_tab("eval", "--dtype", "bf") == {"bfloat16"}
    assert press_tab("completion", "z") == {"zsh"}
    assert press_tab("eval", "--output_path", "check") == {"checkpoints"}, "a folder is wanted"
    assert press_tab("eval", "--config", "check") == {"checkpoints", "checkfile.yaml"}
    assert press_tab("run", "check") == {"checkpoints", "checkfile.yaml"}


def test_bash_completes_values_of_flags(press_tab: PressTab) -> None:
    assert press_tab("eval", "--backend", "") == {"auto", "hf", "scripted", "vllm"}
    assert press_tab("compare", "--format", "j") == {"json"}
    assert press_tab("eval", "--verbosity", "D") == {"DEBUG"}
    assert press_tab("eval", "--model", "or") == {"oracle"}
    assert press_tab("eval", "--model", "local-ch") == {"local-chat-completions"}
    assert press_tab("eval", "--model", "checkp") == {"checkpoints"}
    assert press_tab("eval", "--model", "checkpoints", "--task") == {"--tasks"}, "after a flag of several words"
    assert press_tab("eval", "--tasks", "mini_logic", "--lim") == {"--limit"}


def test_bash_completes_names_of_tasks(press_tab: PressTab) -> None:
    assert press_tab("eval", "--tasks", "mini_logic_c") == {"mini_logic_cot"}
    assert press_tab("eval", "--tasks", "mini_logic,mini_legal_c") == {"mini_logic,mini_legal_cot"}
    assert press_tab("eval", "--tasks", "mini_logic", "mini_legal_c") == {"mini_legal_cot"}
    assert press_tab("leaderboard", "runs", "--tasks", "reasoning_min") == {"reasoning_mini"}
    assert press_tab("tasks", "show", "mini_log") >= {"mini_logic", "mini_logic_cot"}
    assert press_tab("tasks", "validate", "mini_logic", "mini_legal_c") == {"mini_legal_cot"}
    assert press_tab("eval", "--tasks", "mini_logic,hellasw") >= {
        "mini_logic,hellaswag", "mini_logic,hellaswag_letter"
    }, "lm-eval's task too"  # fmt: skip
    assert press_tab("eval", "--tasks", "winogr") >= {"winogrande"}
    assert press_tab("eval", "--tasks", "wi") == set(), "too short for lm-eval's names"
    assert press_tab("eval", "--tasks", "$(touch x).*") == set()


def test_the_names_are_those_of_the_catalogue() -> None:
    assert set(task_names()) == Catalogue().entries.keys() | {"all"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_their_own(shell: str, tmp_path: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("completion", shell)
    assert done.returncode == 0, done.stderr
    for part in (
        "num_fewshot",
        "validate",
        "bfloat16",
        "mini_logic",
        "reasoning_mini",
        "local-completions",
        "scripted",
    ):
        assert part in done.stdout
    assert not re.findall("@(?:names|folder|words|kind|option)@", done.stdout), "each place is filled"
    installed = shutil.which(shell)
    if installed is not None:
        file = tmp_path / "script"
        file.write_text(done.stdout, encoding="utf-8")
        subprocess.run([installed, "-n", str(file)], check=True)


def test_another_shell_is_refused(harness_here: HarnessCommand) -> None:
    done = harness_here("completion", "tcsh")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr

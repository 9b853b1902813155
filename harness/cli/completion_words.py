"""What a shell completes after a flag: names of tasks, models and engines, and paths. Imports no library.

The names of this project's tasks stand in the script. lm-eval has 12,000 more: once three letters are typed, the
script's functions look for those in lm-eval's files, which takes 0.2 s.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from harness.cli.flag_values import LEVELS
from harness.engines.registry import AUTO, GROUP
from harness.engines.scripted import SCRIPTS
from harness.paths import tasks_dir
from harness.suite.lm_eval_names import lm_eval_folder

Completion = dict[str, str | dict[str, str]]  # the form that shtab wants
_NAME = re.compile(r"^(?:task|group|tag):[ \t]*([\w.+-]+)[ \t\r]*$", re.MULTILINE)
# lm-eval's words for a model that takes --model_args pretrained=CKPT or base_url=..., and the scripted models.
MODELS = ("hf", "vllm", "local-completions", "local-chat-completions", "openai-completions", *SCRIPTS)


def values_of_flags() -> dict[str, Sequence[str]]:
    """Return the words that flags without a fixed list of choices take, by flag."""
    engines = sorted({point.name for point in entry_points(group=GROUP)} - {"lm-eval"})  # lm-eval:NAME needs a name
    return {
        "--backend": (AUTO, *engines),
        "--device": ("auto", "cpu", "cuda", "mps"),
        "--verbosity": LEVELS,
        "--replicas": ("auto",),
        "--batch_size": ("auto",),
        "--on": ("ray",),
    }


def task_names() -> list[str]:
    """Return the names of this project's tasks, groups and tags."""
    files = tasks_dir().rglob("*.yaml")
    return sorted({name for file in files for name in _NAME.findall(file.read_text(encoding="utf-8"))} | {"all"})


def tasks() -> Completion:
    """Return what completes one of several names separated by commas."""
    folder = shlex.quote(str(lm_eval_folder() / "tasks"))
    scripts = {"bash": _BASH_FLAGS + _SEARCH + _BASH_TASKS, "zsh": _SEARCH + _ZSH_TASKS, "fish": _FISH_TASKS}
    return {
        "bash": "_harness_tasks", "zsh": "_harness_tasks", "fish": "(__harness_tasks)",
        "preamble": _filled(scripts, {"@names@": " ".join(task_names()), "@folder@": folder}),
    }  # fmt: skip


def models() -> Completion:
    """Return what completes a model: a path or a word."""
    scripts = {"bash": _BASH_FLAGS + _BASH_MODELS, "zsh": _ZSH_MODELS, "fish": _FISH_MODELS}
    return {
        "bash": "_harness_model_files", "zsh": "_harness_models", "fish": "(__harness_models)",
        "preamble": _filled(scripts, {"@words@": " ".join(MODELS)}),
    }  # fmt: skip


def path(kind: str, own: Completion) -> Completion:
    """Return what completes a path.

    Args:
        kind: ``file`` or ``dir``; shtab looks for this word in the function's name.
        own: shtab's functions, by shell.
    """
    option = {"file": "-f", "dir": "-d"}[kind]
    script = _filled({"bash": _BASH_FLAGS + _BASH_PATHS}, {"@kind@": kind, "@option@": option})
    return {**own, "bash": f"_harness_{kind}s", "preamble": script}


def _filled(scripts: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    def fill(script: str) -> str:
        return functools.reduce(lambda text, place: text.replace(place, places[place]), places, script)

    return {shell: fill(script) for shell, script in scripts.items()}


# After a flag that takes several words, shtab's bash script completes these words even where a flag begins.
_BASH_FLAGS = r"""
_harness_is_flag() {
  [[ "${COMP_WORDS[COMP_CWORD]}" == -* ]] || return 1
  compgen -W "${current_option_strings[*]}" -- "${COMP_WORDS[COMP_CWORD]}"
  return 0
}
"""
_BASH_PATHS = r"""
_harness_@kind@s() {
  _harness_is_flag || compgen @option@ -- "$1"
}
"""
# For bash and zsh.
_SEARCH = r"""
_harness_lm_eval_tasks() {
  [[ ${#1} -ge 3 && "$1" =~ ^[A-Za-z0-9_-]+$ ]] || return 0
  grep -rhoE --include='*.yaml' "^(task|group|tag): *$1[A-Za-z0-9_.+-]*" @folder@ 2>/dev/null |
    sed 's/^[a-z]*: *//' | sort -u
}
"""
_BASH_TASKS = r"""
_harness_tasks() {
  _harness_is_flag && return 0
  local last="${1##*,}" before=""
  [[ "$1" == *,* ]] && before="${1%,*},"
  compgen -P "$before" -W "@names@ $(_harness_lm_eval_tasks "$last")" -- "$last"
}
"""
_ZSH_TASKS = r"""
_harness_tasks() {
  compset -P '*,'
  compadd -- @names@ $(_harness_lm_eval_tasks "$PREFIX")
}
"""
_FISH_TASKS = r"""
function __harness_lm_eval_tasks
  string match -qr '^[A-Za-z0-9_-]{3,}$' -- $argv[1]; or return 0
  grep -rhoE --include='*.yaml' "^(task|group|tag): *$argv[1][A-Za-z0-9_.+-]*" @folder@ 2>/dev/null |
    sed 's/^[a-z]*: *//' | sort -u
end

function __harness_tasks
  set -l before (string match -r '^.*,' -- (commandline -ct))
  set -l last (string replace -r '^.*,' '' -- (commandline -ct))
  printf "$before%s\n" @names@ (__harness_lm_eval_tasks "$last")
end
"""
_BASH_MODELS = r"""
_harness_model_files() {
  _harness_is_flag && return 0
  compgen -W "@words@" -- "$1"
  compgen -f -- "$1"
}
"""
_ZSH_MODELS = r"""
_harness_models() {
  _alternative 'models:model:(@words@)' 'files:file:_files'
}
"""
_FISH_MODELS = r"""
function __harness_models
  printf '%s\n' @words@
  __fish_complete_path (commandline -ct)
end
"""

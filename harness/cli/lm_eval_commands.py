"""lm-eval's commands in this project's words, so that its command lines run with `harness` in place of `lm-eval`.

--model hf ...              ->   eval --model hf ...
run --model hf ...          ->   eval --model hf ...         but `run study.yaml` runs a study
ls groups                   ->   tasks list --lm_eval --kind group
validate --tasks a,b        ->   tasks validate --tasks a,b
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.cli.config_file import config_path, keys_in

COMMANDS = ("ls", "validate")
# With one of these flags, or one of these keys in the file that --config names, `run` means `eval`.
EVAL_FLAGS = ("--model", "-M", "--model_args", "-a", "--tasks", "-t")
KINDS = {"tasks": (), "groups": ("--kind", "group"), "subtasks": ("--kind", "task"), "tags": ("--kind", "tag")}


def own_command(words: Sequence[str]) -> list[str]:
    """Return the words with lm-eval's command replaced; other words are unchanged.

    Raises:
        InputError: ``run --config FILE``, and the file cannot be read.
    """
    command, rest = (words[0], list(words[1:])) if words else ("", [])
    if _is_flag(command) and _evaluates(words):
        return ["eval", *words]
    if command == "run" and rest and _is_flag(rest[0]) and _evaluates(rest):
        return ["eval", *rest]
    if command == "ls":
        kind = KINDS.get(rest[0]) if rest else ()
        return ["tasks", "list", *(["--lm_eval", *kind, *rest[1:]] if rest and kind is not None else rest)]
    if command == "validate":
        return ["tasks", "validate", *rest]
    return list(words)


def _is_flag(word: str) -> bool:
    return word.startswith("-")


def _evaluates(words: Sequence[str]) -> bool:
    if any(word.partition("=")[0] in EVAL_FLAGS for word in words):
        return True
    file = config_path(words)
    return file is not None and bool(keys_in(file) & {flag.lstrip("-") for flag in EVAL_FLAGS})

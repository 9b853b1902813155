"""The layout that a reader relies on: one import root, packages that import only what stands below them, no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the top: a package may import those below it. `trainers` and `reports` are reached by entry points alone.
PACKAGES = [
    "__main__",
    "lm_eval_models", "api",
    "cli",
    "reports.commands", "reports.view", "reports.page", "reports.charts", "reports.documents", "reports.analysis",
    "trainers", "trainers.averaging", "trainers.stage", "trainers.data",
    "study", "study.executors",
    "training",
    "overlap",
    "evaluation",
    "engines.replicated", "engines.vllm", "engines.hf", "engines",
    "answers", "code_tasks", "task_results", "items", "suite", "suite.extraction",
    "sandbox",
    "export",
    "data",
    "checkpoints",
    "records",
    "stats",
    "terminal_table", "console", "hub_access", "notebook", "wrapping", "ray_cluster", "file_systems", "digests",
    "natural_order", "metric_ranges", "versions", "paths", "processes", "plain_yaml", "errors", "flags", "wording",
    "visible", "redaction", "",
]  # fmt: skip
# Packages without code of their own.
FACES = {"harness", "harness.reports"}
# Found through entry points only.
PLUGINS = {"trainers", "reports"}


def _source_files() -> list[Path]:
    return [path for folder in ("harness", "trainers", "reports") for path in sorted((ROOT / folder).rglob("*.py"))]


def _module(path: Path) -> str:
    """``trainers/data/mixture.py`` is harness.trainers.data.mixture; a package's ``__init__.py`` is the package."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] != "harness":
        parts = ["harness", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in _source_files()}


def _imports(module: str) -> Iterator[str]:
    """Modules of this project that a module imports, inside functions and for type checking too."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            for alias in node.names:
                if f"{base}.{alias.name}" in MODULES:
                    yield f"{base}.{alias.name}"
                elif base in MODULES:
                    yield base


def _package(module: str) -> str:
    """The longest listed package that holds a module: harness.engines.hf.forward is in ``engines.hf``."""
    if module in FACES:
        return ""
    name = module.removeprefix("harness.")
    while name not in PACKAGES:
        name = name.rpartition(".")[0]
        assert name, f"{module}: its package is not in the ordered list"
    return name


@pytest.mark.parametrize("module", MODULES)
def test_a_package_imports_only_packages_below_it(module: str) -> None:
    own = _package(module)
    for imported in _imports(module):
        other = _package(imported)
        assert PACKAGES.index(own) <= PACKAGES.index(other), f"{module} imports {imported}, which stands above it"
        plugin = other.split(".")[0]
        assert plugin not in PLUGINS or own.split(".")[0] == plugin, f"{imported} is reached by an entry point only"


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = {module: set(_imports(module)) - {module} for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_package_is_in_the_ordered_list() -> None:
    assert {_package(module) for module in MODULES} == set(PACKAGES)
    for module, path in MODULES.items():
        if path.name == "__init__.py" and "sandbox.inside" not in module and module not in FACES:
            assert module.removeprefix("harness.") in PACKAGES, f"{module}: list it"


@pytest.mark.parametrize("module", ["harness.unlisted", "harness.unlisted.part", "harness.reports.unlisted.part"])
def test_an_unlisted_package_fails(module: str) -> None:
    with pytest.raises(AssertionError, match="not in the ordered list"):
        _package(module)


def test_no_file_imports_trainers_or_reports_by_their_bare_names() -> None:
    for folder in ("harness", "trainers", "reports", "tasks", "tests", "benchmarks", "experiments", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [str(node.module)]
                assert not {name.split(".")[0] for name in names} & PLUGINS, f"{path}:{getattr(node, 'lineno', 0)}"


def test_no_function_of_the_evaluation_takes_more_than_five_parameters() -> None:
    """They share one frozen object instead of handing on its parts."""
    for path in sorted((ROOT / "harness" / "evaluation").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                words = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                own = [word for word in words if word.arg not in ("self", "cls")]
                assert len(own) <= 5, f"{path.name}:{node.lineno} {node.name}"

"""The wheel works where nothing of this repository is: command, Python API, type checks, the example notebook.

The quick tests install it into an environment that sees the packages of this one; the slow one into an empty one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PIP, ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "two_checkpoints.ipynb"
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"

SCRIPT = """
import sys
from pathlib import Path

import harness

assert Path(harness.__file__).is_relative_to(sys.prefix), harness.__file__
for name in ("oracle", "uniform"):
    results = harness.evaluate(model=name, backend="scripted", tasks=["mini_logic"], limit=10, output_path=name)
    print(name, len(results.items()), results.frame()["value"][0])
print(harness.compare("uniform", "oracle").headlines[0])
print(harness.leaderboard("uniform", "oracle").frame()["model"].to_list())
"""

# Their types are not part of this test, and following all of them takes minutes.
MYPY = """
[mypy]
strict = true
[mypy-torch.*,transformers.*,lm_eval.*,datasets.*,peft.*,trl.*,vllm.*,ray.*,scipy.*,sklearn.*,rich.*,jinja2.*,pydantic.*]
follow_imports = skip
ignore_missing_imports = true
"""

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
for cell in notebook.cells:
    for output in cell.get("outputs", ()):
        print(output.get("text", ""), output.get("data", {}).get("text/plain", ""), *output.get("data", {}))
"""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment, and an empty folder to work in."""

    path: Path
    cwd: Path

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        program, *rest = map(str, words)
        own = {
            "HARNESS_CACHE_DIR": str(self.cwd / "cache"),
            "PATH": f"{self.path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [self.path / "bin" / program, *rest],
            cwd=self.cwd, env=kept | own, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def python(self, script: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a script; its file is in the environment's working folder."""
        (self.cwd / "script.py").write_text(script, encoding="utf-8")
        return self.run("python", "script.py", *words)


def _environment(folder: Path, *, with_pip: bool) -> Environment:
    venv.create(folder / "venv", with_pip=with_pip)
    (folder / "work").mkdir()
    return Environment(path=folder / "venv", cwd=folder / "work")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel in a fresh environment that sees the packages of this one, but not this repository.

    A ``.pth`` file adds a folder of packages without reading the ``.pth`` files in it, such as that of an editable
    installation.
    """
    folder = tmp_path_factory.mktemp("shared")
    made = _environment(folder, with_pip=False)
    python = made.path / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    (site,) = (made.path / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return made


def _check(environment: Environment) -> None:
    """An evaluation by command and by Python, and the doctor."""
    words = "eval --backend scripted --model oracle --tasks mini_logic --limit 5 --output_path command"
    done = environment.run("harness", *words.split())
    assert done.returncode == 0, done.stderr
    assert "1.000" in done.stdout
    done = environment.run("harness", "doctor")
    assert done.returncode == 0, done.stderr
    assert "yes  backend hf" in done.stdout
    done = environment.python(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert "oracle 10 1.0" in done.stdout
    assert "oracle against uniform" in done.stdout
    assert "['oracle', 'uniform']" in done.stdout


def _check_notebook(environment: Environment) -> None:
    """Every cell runs, and shows tables and charts."""
    shutil.copy(NOTEBOOK, environment.cwd / "notebook.ipynb")
    done = environment.python(EXECUTE, "notebook.ipynb")
    assert done.returncode == 0, done.stderr
    assert "text/html" in done.stdout
    for shown in ("EvaluationResults of worked", "Leaderboard of 2 models", "alt.FacetChart"):
        assert shown in done.stdout


def test_the_wheel_evaluates_away_from_the_repository(installed: Environment) -> None:
    _check(installed)


def test_the_notebook_runs_from_the_wheel(installed: Environment) -> None:
    _check_notebook(installed)


@pytest.mark.slow
def test_a_users_file_passes_mypy_strict(installed: Environment) -> None:
    """`make lint` checks the same file against this folder."""
    (installed.cwd / "mypy.ini").write_text(MYPY, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "api" / "users_file.py", installed.cwd)
    done = installed.run("python", "-m", "mypy", "users_file.py")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """With its own needs only, and those of the notebook; torch is named first, for its pinned build."""
    empty = _environment(tmp_path, with_pip=True)
    wanted = ["torch", f"{wheel}[report]", "nbclient", "ipykernel"]
    done = empty.run("python", "-m", "pip", "install", "-q", "-c", CONSTRAINTS, *wanted)
    assert done.returncode == 0, done.stderr
    assert empty.run("python", "-m", "pip", "check").returncode == 0
    assert empty.run("python", "-c", "import pytest").returncode != 0, "the environment is not empty"
    _check(empty)
    _check_notebook(empty)


def test_this_process_uses_the_repository() -> None:
    """So that the tests above would show a difference."""
    import harness

    assert Path(harness.__file__).is_relative_to(ROOT)
    assert sys.prefix != sys.base_prefix

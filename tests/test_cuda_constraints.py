"""`requirements/constraints-cuda.txt` fits what this project and TRL require; CI does not install vLLM's CUDA build."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.conftest import ROOT

FILE = ROOT / "requirements" / "constraints-cuda.txt"


def pins() -> dict[NormalizedName, str]:
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def needs() -> list[Requirement]:
    """What the project needs with vLLM and training, and which vLLM TRL supports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    of_trl = [Requirement(line) for line in requires("trl") or ()]
    vllm = [need for need in of_trl if need.name == "vllm" and need.marker and need.marker.evaluate({"extra": "vllm"})]
    assert vllm, "TRL must state which vLLM it supports"
    return [*map(Requirement, [*project["dependencies"], *optional["vllm"], *optional["train"]]), *vllm]


def test_each_need_has_a_pin_that_it_allows() -> None:
    pinned = pins()
    for need in needs():
        assert pinned[canonicalize_name(need.name)] in need.specifier, need


def test_pip_resolves_the_cuda_build_with_them(tmp_path: Path) -> None:
    """pip asks the index about some 250 packages, and downloads none."""
    words = ["-m", "pip", "-q", "install", "--dry-run", "--ignore-installed", "--report", "report.json", "-c"]
    done = subprocess.run(
        [sys.executable, *words, str(FILE), f"{ROOT}[vllm,train]"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    chosen = {canonicalize_name(each["metadata"]["name"]): each["metadata"]["version"] for each in report["install"]}
    assert chosen[canonicalize_name("vllm")] == pins()[canonicalize_name("vllm")]
    # torch may be of any build, such as 2.13.0+cpu.
    own = {name: version.partition("+")[0] for name, version in chosen.items() if name in pins()}
    assert own.items() <= pins().items()

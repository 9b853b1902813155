"""The GPU benchmark runs piece by piece at tiny size on the CPU, so that mistakes show without a GPU."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, sides
from benchmarks.sides import Side

TINY = {"layers": 2, "hidden": 64, "heads": 2, "vocabulary": 1000, "items": 2, "new_tokens": 4, "rounds": 1, "steps": 2}


def rows(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[dict[str, Any]]:
    """The rows that the benchmark writes when all its pieces work."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    file = folder / "rows.jsonl"
    size = [word for name, value in TINY.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["gpu", *size, "--dtype", "float32", "--results", str(file), *words])
    assert gpu.main() == 0
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def check_engines(made: list[dict[str, Any]], backend: str) -> None:
    sides = [(row["side"], row["setting"]) for row in made]
    settings = ("0-shot", "5-shot", "generation")
    assert sides == [(f"{who} {backend}", setting) for who in ("harness", "lm-eval") for setting in settings]
    zero, five, generation = made[3:]
    assert zero["largest_difference_nats"] < 1e-3
    assert five["largest_difference_nats"] < 1e-3
    assert generation["same_texts"] == 1
    assert all(row["ratio"] > 0 for row in made[3:])


@pytest.mark.usefixtures("bubblewrap")
def test_every_piece_works_on_hf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *engines, code, training = rows(tmp_path, monkeypatch, "--backends", "hf")
    check_engines(engines, "hf")
    assert (code["items_scored"], code["failed"]) == (TINY["items"], 0)
    assert training["tokens_per_second"].keys() == {"ours", "bare"}
    assert training["steps"] == TINY["steps"]


@pytest.mark.slow
def test_scoring_and_generation_work_on_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_engines(
        rows(tmp_path, monkeypatch, "--backends", "vllm", "--settings", "0-shot", "5-shot", "generation"), "vllm"
    )


def test_a_piece_that_fails_costs_no_row_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> Any:
        yield {"setting": "first"}
        raise RuntimeError("no sandbox")

    file = tmp_path / "rows.jsonl"
    monkeypatch.setattr(gpu, "code", fails)
    monkeypatch.setattr(gpu, "training", lambda *_: iter([{"setting": "training"}]))
    monkeypatch.setattr(gpu, "save_model", lambda folder, **shape: 1)
    monkeypatch.setattr(sys, "argv", ["gpu", "--settings", "code", "training", "--results", str(file)])
    assert gpu.main() == 1
    assert "code: failed" in capsys.readouterr().err
    settings = [json.loads(line)["setting"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert settings == ["first", "training"]


def test_a_side_ends_at_the_deadline(tmp_path: Path) -> None:
    side = Side("harness hf", tmp_path, dtype="float32", deadline=time.monotonic())
    with pytest.raises(RuntimeError, match="harness hf ended"):
        side.ask("loglikelihood", [])
    side.close()
    assert side._process.returncode == -signal.SIGKILL


def test_training_ends_at_the_deadline(tmp_path: Path) -> None:
    sizes = {name: TINY[name] for name in ("layers", "hidden", "heads", "vocabulary", "rounds")}
    options = argparse.Namespace(**sizes, steps=1000, deadline=time.monotonic())
    with pytest.raises(multiprocessing.TimeoutError):
        list(gpu.training(options, tmp_path))
    assert multiprocessing.active_children() == []


def test_nothing_is_measured_after_the_deadline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(dtype="float32", rounds=1, deadline=time.monotonic() - 1)
    assert list(gpu.one_side("lm-eval hf", tmp_path, ["0-shot", "generation"], options)) == []
    assert capsys.readouterr().err.count("not measured") == 2


def test_lm_eval_starts_vllm_with_the_settings_that_ours_needs() -> None:
    needed = {"VLLM_HOST_IP": "127.0.0.1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    assert needed.items() <= sides.ENVIRONMENT.items()
    if find_spec("flashinfer") is None:
        assert sides.ENVIRONMENT["VLLM_USE_FLASHINFER_SAMPLER"] == "0"


def test_what_a_side_uses_is_counted_with_its_children() -> None:
    import subprocess

    from benchmarks.sides import _processes

    child = subprocess.Popen(["sleep", "60"])
    try:
        assert child.pid in _processes()
    finally:
        child.kill()
        child.wait()

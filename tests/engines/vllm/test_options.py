"""The arguments that open vLLM: it starts faster if nothing is generated; the user's arguments take precedence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from harness.checkpoints.resolver import resolve
from harness.engines.base import Engine, Request
from harness.engines.spec import EngineSpec
from harness.engines.vllm.options import options
from harness.errors import InputError
from harness.evaluation import model_under_test
from harness.evaluation.spec import EvaluationSpec
from tests.models import save_tiny_llama


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_llama(tmp_path / "model")


def arguments(model: Path, spec: EngineSpec) -> dict[str, Any]:
    return options(resolve(str(model)), spec, AutoTokenizer.from_pretrained(model)).arguments


def test_nothing_is_compiled_for_scoring_alone_unless_the_user_asks(model: Path) -> None:
    assert arguments(model, EngineSpec(generates=False))["enforce_eager"] is True
    assert "enforce_eager" not in arguments(model, EngineSpec())
    asked = EngineSpec(generates=False, model_args={"enforce_eager": False})
    assert arguments(model, asked)["enforce_eager"] is False


def test_arguments_that_the_harness_sets_are_refused(model: Path) -> None:
    with pytest.raises(InputError, match="worker_extension_cls"):
        arguments(model, EngineSpec(model_args={"worker_extension_cls": "my.Class"}))


@pytest.mark.parametrize("generates", [True, False])
def test_an_evaluation_tells_the_engine_whether_it_generates(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generates: bool
) -> None:
    opened: list[EngineSpec] = []

    def open_engine(checkpoint: object, spec: EngineSpec) -> Engine | None:
        opened.append(spec)
        return None

    monkeypatch.setattr(model_under_test, "open_engine", open_engine)
    spec = EvaluationSpec(models=(str(model),), tasks=("mini_logic",), output=tmp_path, engine=EngineSpec(backend="hf"))
    gold: dict[Request, bool | str] = {}
    model_under_test.find_model(str(model), spec).open(gold, generates)
    assert [spec.generates for spec in opened] == [generates]

"""lm-eval's vLLM model works where progress bars are off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tqdm import tqdm

from harness.engines.lm_eval import without_bar


class Model:
    """Computes tokens per second of the bar's time, as `vllm.LLM.generate` does."""

    __module__ = "vllm.entrypoints.llm"

    def generate(self, prompts: list[str], *, use_tqdm: bool = True) -> list[float]:
        bar = tqdm(total=len(prompts), disable=True)
        return [len(prompt) / bar.format_dict["elapsed"] if use_tqdm else 0.0 for prompt in prompts]


def test_a_bar_that_is_off_is_not_asked_for_its_time() -> None:
    lm: Any = SimpleNamespace(model=Model())
    without_bar(lm)
    assert lm.model.generate(["a", "b"], use_tqdm=True) == [0.0, 0.0], "lm-eval asks for a bar with batch size auto"


class Tuned(Model):
    """A class of another package."""

    __module__ = "tuned"


def test_a_subclass_of_vllm_s_class_shows_no_bar_either() -> None:
    lm: Any = SimpleNamespace(model=Tuned())
    without_bar(lm)
    assert lm.model.generate(["a"]) == [0.0]


class Slotted:
    """Takes the same argument, but no attribute can be set."""

    __slots__ = ()

    def generate(self, prompts: list[str], *, use_tqdm: bool = True) -> list[str]:
        return prompts if use_tqdm else []


@pytest.mark.parametrize(
    "other",
    [SimpleNamespace(generate=lambda prompts, use_tqdm=True: prompts), SimpleNamespace(generate="text"),
     SimpleNamespace(generate=getattr), Slotted(), SimpleNamespace(), None],
    ids=["a function", "not callable", "without a signature", "slots", "nothing", "no model"],
)  # fmt: skip
def test_other_models_stay_as_they_are(other: Any) -> None:
    before = getattr(other, "generate", None)
    lm: Any = SimpleNamespace(model=other)
    without_bar(lm)
    assert getattr(other, "generate", None) == before


def test_a_backend_without_a_model_stays_as_it_is() -> None:
    lm: Any = SimpleNamespace()
    without_bar(lm)
    assert vars(lm) == {}

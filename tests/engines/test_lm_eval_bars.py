"""lm-eval's vLLM model works where progress bars are off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tqdm import tqdm

from harness.engines.lm_eval import without_bar


class Model:
    """Computes tokens per second of the bar's time, as `vllm.LLM.generate` does."""

    def generate(self, prompts: list[str], *, use_tqdm: bool = True) -> list[float]:
        bar = tqdm(total=len(prompts), disable=True)
        return [len(prompt) / bar.format_dict["elapsed"] if use_tqdm else 0.0 for prompt in prompts]


def test_a_bar_that_is_off_is_not_asked_for_its_time() -> None:
    lm: Any = SimpleNamespace(model=Model())
    without_bar(lm)
    assert lm.model.generate(["a", "b"], use_tqdm=True) == [0.0, 0.0], "lm-eval asks for a bar with batch size auto"


def test_other_models_stay_as_they_are() -> None:
    other = SimpleNamespace(generate=lambda prompts: prompts)
    before = other.generate
    lm: Any = SimpleNamespace(model=other)
    without_bar(lm)
    assert other.generate is before
    without_model: Any = SimpleNamespace()
    without_bar(without_model)

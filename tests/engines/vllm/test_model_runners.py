"""vLLM's V2 model runner, which CUDA uses, gives the scores and texts of lm-eval's `hf` model.

The reduced twin of the other tests on V2, which is slow: Triton's interpreter runs the kernels.
"""

from __future__ import annotations

from pathlib import Path

from tests.engines.hf.reference import instances, open_hflm
from tests.engines.vllm.interpreter import use_model_runner
from tests.engines.vllm.tiny import (
    assert_same_scores,
    generating,
    good,
    open_tiny,
    save_model,
    scoring,
    sentence,
    whole,
)


def test_v2_scores_and_generates_as_lm_eval_does_and_the_record_names_it(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model")
    with use_model_runner("V2", tmp_path / "interpreter"):
        engine = open_tiny(model)
    try:
        assert engine.description["model_runner"] == "V2"
        assert engine.description["attention_backends"] == ["CPU_ATTN"]
        reference = open_hflm(model)
        contexts = [f"{sentence(30, 1)} {sentence(2, seed)}" for seed in (2, 3)]
        ends = [f" {sentence(3, 4)}", f" {sentence(3, 5)}", "A", "B"]
        assert_same_scores(engine, reference, [scoring(context, end) for context in contexts for end in ends])
        free = [generating(sentence(5, 6), until=[], max_gen_toks=6)]
        texts = [whole(text) for text in reference.generate_until(instances(free), disable_tqdm=True)]
        assert [answer.text for answer in good(engine, free)] == texts
    finally:
        engine.close()

"""Reinforcement learning from verifiable rewards: TRL's GRPOTrainer.

    harness train stage.yaml --output_path runs/grpo     # stage: grpo

Prompts come from this project's generated tasks (``task: mini_logic``), or from files of questions with answers or
tests; see `rewards`. The budget counts prompt tokens. vLLM samples the answers if it is installed and CUDA available.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.encoding import prompt_encoder
from harness.trainers.data.examples import Encode
from harness.trainers.stage.adapters import model_and_adapter, save_whole
from harness.trainers.stage.entry_points import entry_points
from harness.trainers.stage.job import WORK_FOLDER, Method, StageJob


def _config_class() -> type:
    from trl import GRPOConfig

    return GRPOConfig  # type: ignore[no-any-return]


def _encode(tokenizer: Tokenizer, _config: Any) -> Encode:
    return prompt_encoder(tokenizer)


def per_generation(config: Any) -> tuple[int, int]:
    """Return the number of prompts in a generation batch, and of optimizer steps trained on it."""
    # 8 answers per prompt, generation batches of 64 answers, 4 micro-batches of 16, accumulated in pairs:
    #   64 // 8 = 8 prompts, 4 // 2 = 2 steps
    micro_batches = config.steps_per_generation * config.num_iterations
    return config.generation_batch_size // config.num_generations, max(
        1, micro_batches // config.gradient_accumulation_steps
    )


def _vllm() -> dict[str, Any]:
    import torch

    usable = torch.cuda.is_available() and importlib.util.find_spec("vllm") is not None
    return {"use_vllm": True, "vllm_mode": "colocate"} if usable else {"use_vllm": False}


def build(job: StageJob) -> Any:
    """Return TRL's GRPOTrainer for a planned stage."""
    from trl import GRPOTrainer

    from harness.trainers.rewards import verified

    model, adapter = model_and_adapter(job)
    adapted = job.parent is not None and job.parent.adapter is not None and job.twin is None
    if job.config.beta and adapter is None and adapted:
        # TRL loads its reference model from `name_or_path`, where the adapter is not merged; give it merged weights.
        reference = job.out_dir / WORK_FOLDER / "reference"
        save_whole(model, job.tokenizer, reference)
        model.config.name_or_path = str(reference)
    return GRPOTrainer(
        model=model,
        reward_funcs=verified,
        args=job.config,
        train_dataset=job.dataset,
        processing_class=job.tokenizer,
        peft_config=adapter,
        callbacks=job.callbacks,
    )


METHOD = Method(
    stage="grpo",
    config_class=_config_class,
    trainer_class="trl.GRPOTrainer",
    defaults={"shuffle_dataset": False},
    encode=_encode,
    packed_length=lambda _config: None,
    build=build,
    stream_unit=per_generation,
    hardware_defaults=_vllm,
)
train, plan = entry_points(METHOD)

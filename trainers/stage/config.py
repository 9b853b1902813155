"""The `trainer:` part of a stage file made into the configuration of TRL or transformers; a wrong field is an error.

What the stage decides itself (steps, seeds, output folder, order of the data) cannot be set there.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.trainers.stage.job import WORK_FOLDER, Method
from harness.trainers.stage.spec import StageSpec

DECIDED = {
    "output_dir": "--output_path decides it",
    "max_steps": "data.budget_tokens decides it",
    "num_train_epochs": "data.budget_tokens decides it",
    "seed": "set the stage's seed",
    "data_seed": "set the stage's seed",
    "shuffle_dataset": "set data.shuffle",
    "train_sampling_strategy": "the mixture is the order",
    "resume_from_checkpoint": "run the same command again",
    "save_strategy": "set save_steps",
    "save_only_model": "a stage must be able to go on after a stop",
    "dataset_num_proc": "data are streamed",
    "dataset_kwargs": "data arrive as tokens",
    "dataset_text_field": "set the source's fields",
    "chat_template_path": "the parent's tokenizer brings its template",
    "eos_token": "the parent's tokenizer brings it",
    "pad_token": "the parent's tokenizer brings it",
    "truncation_mode": "what is too long loses its end",
    "packing_strategy": "the stream packs, in the order of the mixture",
    "assistant_only_loss": "the loss is on the last answer; set completion_only_loss: false for all tokens",
    "model_init_kwargs": "set dtype, or adapter",
    "eval_strategy": "evaluate the checkpoints with harness eval",
    "do_eval": "evaluate the checkpoints with harness eval",
    "push_to_hub": "publish a finished checkpoint yourself",
    "ignore_data_skip": "the stream is resumed at the exact record",
    "sync_ref_model": "a reference that moves is in no saved state",
    "auto_find_batch_size": "the batch size must be known before the first step",
}


STATES_AT_LEAST = 2  # the last but one is whole until the next one is


POSITIVE = (
    "max_length",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "save_steps",
    "num_generations",
    "generation_batch_size",
    "steps_per_generation",
    "num_iterations",
)


def make_config(config_class: type, given: Mapping[str, Any], defaults: Mapping[str, Any], out_dir: Path) -> Any:
    """Return the configuration with `given` over `defaults`.

    Raises:
        InputError: an unknown field ("did you mean"), one that the stage decides, or a value it does not take.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class) if field.init}
    hints = typing.get_type_hints(config_class)
    for name, value in given.items():
        if name in DECIDED:
            raise InputError(f"trainer.{name}: cannot be set here; {DECIDED[name]}.")
        if name not in fields:
            hint = did_you_mean(name, fields)
            raise InputError(f"trainer.{name}: {config_class.__name__} has no such field.{hint}")
        if not _fits(value, hints[name]):
            raise InputError(f"trainer.{name}: {value!r} is not {_words(hints[name])}.")
        if name in POSITIVE and isinstance(value, int) and value < 1:
            raise InputError(f"trainer.{name}: {value} must be 1 or more.")
        if name == "save_total_limit" and value is not None and value < STATES_AT_LEAST:
            raise InputError(
                f"trainer.{name}: {value} must be {STATES_AT_LEAST} or more, or a kill could leave no state."
            )
    if given.get("fp16"):
        defaults = {**defaults, "bf16": False}  # what was asked for takes the place of what the machine would have
    try:
        return config_class(output_dir=str(out_dir), **{**defaults, **given})
    except (ValueError, TypeError, ImportError) as error:
        raise InputError(f"trainer: {' '.join(str(error).split())}") from None


def _fits(value: Any, hint: Any) -> bool:
    """Say whether a YAML value can stand for a type; types that YAML cannot express are left to the library."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_fits(value, option) for option in typing.get_args(hint))
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    return True


def _words(hint: Any) -> str:
    options = typing.get_args(hint) or (hint,)
    return " or ".join(getattr(option, "__name__", str(option)) for option in options if option is not type(None))


def machine_defaults() -> dict[str, Any]:
    """Return what the machine decides: bfloat16 where it has it, pinned memory where that helps."""
    import torch

    cuda = torch.cuda.is_available()
    return {"bf16": cuda and torch.cuda.is_bf16_supported(), "dataloader_pin_memory": cuda}


def stage_defaults(seed: int, steps: int) -> dict[str, Any]:
    """Return what every stage sets: seeds and steps; and, unless `trainer:` says other, what is kept and logged."""
    return {
        **machine_defaults(),
        "seed": seed,
        "data_seed": seed,
        "max_steps": steps,
        "num_train_epochs": 1,
        "save_strategy": "steps",
        "save_steps": max(1, -(-steps // 10)),
        "save_total_limit": 2,
        "logging_steps": max(1, steps // 100),
        "report_to": "none",
        "disable_tqdm": True,
        "accelerator_config": {"dispatch_batches": False},  # every process reads the stream, none hands batches out
    }


def configured(method: Method, spec: StageSpec, out_dir: Path, *, steps: int) -> Any:
    """Return the library's configuration for a number of optimizer steps."""
    defaults = {**stage_defaults(spec.seed, steps), **method.defaults, **method.hardware_defaults()}
    config = make_config(method.config_class(), spec.trainer, defaults, out_dir / WORK_FOLDER)
    if method.stream_unit is not None:
        _save_between_units(config, method.stream_unit(config)[1], chosen="save_steps" in spec.trainer)
    return config


def _save_between_units(config: Any, steps: int, *, chosen: bool) -> None:
    """Let states be saved where a unit of `steps` ends: what it was made of is lost with the process."""
    if config.save_steps % steps == 0:
        return
    if chosen:
        raise InputError(
            f"trainer.save_steps: {config.save_steps} is no multiple of {steps}, the steps of one generation."
        )
    config.save_steps = -(-config.save_steps // steps) * steps

"""How to open a checkpoint in vLLM: `EngineSpec` and checkpoint become vLLM's arguments, devices and lengths.

Only the checkpoint's JSON files are read; vllm is not imported. What vLLM itself refuses (an unknown argument, a wrong
device) is reported by the process that opens it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkpoints.checkpoint import ADAPTER_SAFETENSORS
from harness.checkpoints.folders import ADAPTER_CONFIG
from harness.checkpoints.tokenizer import has_tokenizer
from harness.engines.spec import EngineSpec, resolve_dtype
from harness.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from harness.checkpoints.checkpoint import Checkpoint

# The ranks that vLLM can be opened for; smaller ones are opened as 16.
ADAPTER_RANKS = (16, 32, 64, 128, 256, 320, 512)
OURS = (
    "model",
    "tokenizer",
    "dtype",
    "trust_remote_code",
    "enable_lora",
    "logprobs_mode",
    "skip_tokenizer_init",
    "worker_extension_cls",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What vLLM is opened with.

    Attributes:
        arguments: Arguments of vLLM's EngineArgs.
        device: ``auto``, ``cpu`` or ``cuda``.
        environments: For each engine, its process's environment variables besides the user's.
        max_length: Longest input that is scored, in tokens.
    """

    arguments: dict[str, Any]
    device: str
    environments: list[dict[str, str]]
    max_length: int

    @property
    def key(self) -> str:
        """Equal for checkpoints that can share an engine: those that differ only in their adapter."""
        return json.dumps([self.arguments, self.device, self.environments], sort_keys=True, default=str)


def options(checkpoint: Checkpoint, spec: EngineSpec, tokenizer: PreTrainedTokenizerBase) -> Options:
    """Turn `spec` into vLLM's options for `checkpoint`.

    Raises:
        InputError: an argument has an impossible value or is set by the harness.
        CheckpointError: vLLM cannot score with the adapter.
    """
    given = dict(spec.model_args)
    wrong = [name for name in OURS if name in given]
    if wrong:
        raise InputError(f"--model_args {wrong[0]}: is set by the harness; leave it out (see --dtype and --model).")
    engines = _positive(given.pop("data_parallel_size", 1), "data_parallel_size")
    devices = _positive(given.get("tensor_parallel_size", 1), "tensor_parallel_size")
    max_length, opened_length = _lengths(checkpoint, spec, tokenizer)
    return Options(
        arguments={**_arguments(checkpoint, spec), **given, "max_model_len": opened_length},
        device=spec.device.partition(":")[0],
        environments=[{**_compiling(given), **own} for own in _devices(spec.device, engines, devices)],
        max_length=max_length,
    )


def _arguments(checkpoint: Checkpoint, spec: EngineSpec) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": str(checkpoint.weights),
        "tokenizer": str(_tokenizer(checkpoint)),
        # vLLM's own `auto` would convert float32 weights to 16 bits.
        "dtype": resolve_dtype(checkpoint, spec.dtype),
        "trust_remote_code": spec.trust_remote_code,
    }
    if not spec.generates:
        # Compiling and capturing CUDA graphs take most of the start-up time, and speed up only steps of a few tokens.
        arguments["enforce_eager"] = True
    if spec.batch_size != "auto":
        arguments["max_num_seqs"] = _positive(spec.batch_size, "batch_size")
    if checkpoint.adapter is not None:
        arguments |= adapter_arguments(checkpoint.adapter)
    return arguments


def _tokenizer(checkpoint: Checkpoint) -> Path:
    """The tokenizer that vLLM decodes generated text with.

    An adapter's own would prevent it from sharing its base's engine, for nothing: vLLM has no embeddings for tokens
    that the base lacks.
    """
    own = checkpoint.tokenizer == checkpoint.adapter
    return checkpoint.weights if own and has_tokenizer(checkpoint.weights) else checkpoint.tokenizer


def adapter_arguments(adapter: Path) -> dict[str, Any]:
    """Return what vLLM is opened with for an adapter.

    Raises:
        CheckpointError: vLLM cannot score with it.
    """
    return {
        "enable_lora": True,
        "max_lora_rank": _opened_rank(adapter),
        "lora_target_modules": _adapted_modules(adapter),
    }


def _opened_rank(adapter: Path) -> int:
    """The smallest of vLLM's ranks that the adapter fits into."""
    config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    if config.get("peft_type", "LORA") != "LORA":
        raise CheckpointError(f"{adapter}: is of type {config['peft_type']}; vLLM takes LORA. Use --backend hf.")
    rank = max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
    if rank > ADAPTER_RANKS[-1]:
        raise CheckpointError(
            f"{adapter}: rank {rank}; vLLM takes up to {ADAPTER_RANKS[-1]}. Merge it into its base or use --backend hf."
        )
    return min(known for known in ADAPTER_RANKS if known >= rank)


def _adapted_modules(adapter: Path) -> list[str]:
    """Names of the modules that the adapter changes; vLLM prepares only these for adapters.

    The output layer must not be among them: with it, vLLM 0.32 mixes up the rows of a prompt, or stops on the CPU.

    Raises:
        CheckpointError: the adapter is pickled, changes the output layer or holds whole modules.
    """
    from safetensors import safe_open

    if not (adapter / ADAPTER_SAFETENSORS).is_file():
        raise CheckpointError(f"{adapter}: has no {ADAPTER_SAFETENSORS}; save it as safetensors or use --backend hf.")
    with safe_open(adapter / ADAPTER_SAFETENSORS, framework="numpy") as tensors:
        names = [name.partition(".lora_") for name in tensors.keys()]  # noqa: SIM118 - not a mapping
    modules = {path.rpartition(".")[2] for path, lora, _ in names if lora}
    if "lm_head" in modules or any(not lora for _, lora, _ in names):
        raise CheckpointError(
            f"{adapter}: changes the output layer or holds whole modules, which vLLM cannot score with; merge it into "
            "its base or use --backend hf."
        )
    return sorted(modules)


def _lengths(checkpoint: Checkpoint, spec: EngineSpec, tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Longest input of the model as lm-eval's `hf` counts it, and the length that vLLM is opened for.

    vLLM needs room for one generated token after every prompt, even when only the prompt is scored. That position is
    never computed, so it may exceed the model's context: for a context of 2,048 tokens vLLM is opened for 2,049. Not
    with LongRoPE, which changes all positions when vLLM is opened for more than the original context: there the longest
    input is 2,047 tokens.
    """
    from lm_eval.models.utils import resolve_max_length
    from transformers import AutoConfig

    given = spec.model_args.get("max_model_len")
    if given is not None and spec.max_length is not None:
        raise InputError("--max_length and --model_args max_model_len set the same length; give one of them.")
    config = AutoConfig.from_pretrained(checkpoint.weights, trust_remote_code=spec.trust_remote_code)
    length = _positive(given or spec.max_length or resolve_max_length(config, tokenizer), "max_length")
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    return (length - 1, length) if "longrope" in json.dumps(rope) else (length, length + 1)


def _positive(value: Any, name: str) -> int:
    if not str(value).isdigit() or int(value) < 1:
        raise InputError(f"{name} is {value}; give a positive whole number.")
    return int(value)


def _compiling(given: dict[str, Any]) -> dict[str, str]:
    """On a CPU nothing is compiled unless the user asks: what vLLM compiles by itself costs more than it saves."""
    import torch

    compiles = torch.accelerator.is_available() or given.get("enforce_eager") is False
    return {} if compiles else {"TORCHDYNAMO_DISABLE": "1"}


def _devices(device: str, engines: int, devices_each: int) -> list[dict[str, str]]:
    """The environment that gives each engine its devices; ``--device cuda:N`` is the first device of the first engine.

    Two engines of two devices each, from cuda:1 on: CUDA_VISIBLE_DEVICES=1,2 and CUDA_VISIBLE_DEVICES=3,4.
    """
    _, _, first = device.partition(":")
    if engines == 1 and not first:
        return [{}]
    visible = [word for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word]
    start = _count(first or 0, "--device cuda:")
    stop = start + engines * devices_each
    if visible and stop > len(visible):
        raise InputError(
            f"{engines} engines with {devices_each} devices each, starting at device {start}, need {stop} devices; "
            f"CUDA_VISIBLE_DEVICES names {len(visible)}."
        )
    names = [visible[index] if visible else str(index) for index in range(start, stop)]
    shares = [",".join(names[own : own + devices_each]) for own in range(0, len(names), devices_each)]
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // engines))} if engines > 1 else {}
    return [{"CUDA_VISIBLE_DEVICES": share, **threads} for share in shares]


def _count(value: Any, name: str) -> int:
    if not str(value).isdigit():
        raise InputError(f"{name}{value}: give a whole number.")
    return int(value)

"""lm-eval's way to name a model, in this project's flags::

    --model hf --model_args pretrained=org/name,dtype=float,peft=runs/lora
    ->  --backend hf --model runs/lora --base org/name --dtype float32

    --model local-completions --model_args model=name,base_url=http://host/v1/completions,batch_size=16
    ->  --backend lm-eval:local-completions --model name --batch_size 16 --model_args base_url=...

An argument that names weights or a tokenizer becomes a flag, because the digest of what is loaded identifies the
answers. What only lm-eval's own model class takes (`parallelize`, `load_in_4bit`, ...) runs on that class, with a note.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cli import eval_flags, lm_eval_flags
from harness.cli.flag_values import pairs
from harness.cli.parser import RaisingParser
from harness.engines.quantizing import QUANTIZING
from harness.errors import InputError, did_you_mean
from harness.redaction import without_secret_values

ENGINES = {"hf": "hf", "hf-auto": "hf", "huggingface": "hf", "vllm": "vllm"}
# Argument -> flag, for models whose weights are opened here.
FLAGS = {
    "tokenizer": "tokenizer",
    "revision": "revision",
    "dtype": "dtype",
    "device": "device",
    "batch_size": "batch_size",
    "max_batch_size": "max_batch_size",
    "max_length": "max_length",
    "max_model_len": "max_length",
    "trust_remote_code": "trust_remote_code",
    "think_end_token": "think_end",
}
ADAPTERS = ("peft", "lora_local_path")
# Arguments that change no answer here, and why.
LEFT_OUT = {
    "logits_cache": "shared prefixes are always computed once",
    "truncation": "inputs that are too long are cut on the left, and counted",
    "max_lora_rank": "it is read from the adapter",
    "enable_lora": "an adapter turns it on",
    "swap_space": "vLLM no longer has it",
    "low_cpu_mem_usage": "it is how weights are always read",
    "use_safetensors": "weights are read as safetensors unless --allow_pickle is given",
}
# Arguments that no engine here can honour, and what to do instead.
REFUSED = {
    "delta": "add the delta to its base once, save the result, and give that folder as pretrained",
    "tp_plan": "give --model vllm with tensor_parallel_size=N",
    "tokenizer_revision": "download the tokenizer at this revision, and give its folder as tokenizer",
    "max_gen_toks": "give --gen_kwargs max_gen_toks=N",
}
NOWHERE = ("delta", "tp_plan")  # those of them that an lm-eval class, too, cannot be given here
# Arguments that only lm-eval's own class of the same name takes.
ON_LM_EVAL = {
    "hf": (
        "parallelize", "device_map", "device_map_option", "max_memory", "max_memory_per_gpu", "max_cpu_memory",
        "offload_folder", *QUANTIZING, "softmax_dtype", "mixed_precision_dtype", "prefix_token_id",
        "use_fast_tokenizer", "backend",
    ),
    "vllm": ("prefix_token_id", "truncation_side", "add_bos_token"),
}  # fmt: skip
# Values of these that the engine here has anyway.
SAME = {"use_fast_tokenizer": (True,), "backend": ("default", "causal"), "truncation_side": ("left",)}
HF_ARGUMENTS = {"add_bos_token": "add_bos", "add_bos": "add_bos", "attn_implementation": "attn_implementation"}
HF_OWN = ("batch_tokens",)


@dataclass(frozen=True, kw_only=True)
class OwnWords:
    """Flags in this project's words, and a line for each of lm-eval's that has no effect or another one."""

    args: argparse.Namespace
    notes: tuple[str, ...]


def in_own_words(args: argparse.Namespace) -> OwnWords:
    """Translate lm-eval's words among parsed flags; other flags are unchanged.

    Raises:
        InputError: no model is named, or an argument has no equivalent; the message has the replacement.
    """
    own = argparse.Namespace(**vars(args))
    arguments = pairs("--model_args", args.model_args)
    notes = []
    name = _lm_eval_name(args.model, arguments)
    if name is not None:
        translation = _Translation(own, name, arguments)
        translation.apply()
        notes = translation.notes
    notes = lm_eval_flags.notes(own) + notes
    if str(own.batch_size).startswith("auto:"):
        own.batch_size = "auto"
    if not own.model:
        raise InputError("--model: missing; give a checkpoint, or lm-eval's --model hf --model_args pretrained=CKPT.")
    return OwnWords(args=own, notes=tuple(notes))


def _lm_eval_name(models: list[str] | None, arguments: dict[str, Any]) -> str | None:
    """Return the name of lm-eval's model class that ``--model`` means; None if it names checkpoints."""
    if not models:
        return "hf" if "pretrained" in arguments else None
    name = models[0]
    if len(models) > 1 or "/" in name:
        return None
    from lm_eval.models import MODEL_MAPPING

    if name not in MODEL_MAPPING or (Path(name).exists() and not arguments.keys() & {"pretrained", "model"}):
        return None
    return name


class _Translation:
    """Moves lm-eval's arguments of one model into flags.

    Args:
        own: The flags, which are changed.
        name: lm-eval's name of the model class.
        arguments: ``--model_args``.
    """

    def __init__(self, own: argparse.Namespace, name: str, arguments: dict[str, Any]) -> None:
        self._own, self._name, self._left = own, name, dict(arguments)
        self.notes: list[str] = []
        if own.metadata:  # lm-eval gives a model's arguments to the tasks, too
            own.metadata = {**without_secret_values(arguments), **pairs("--metadata", own.metadata)}

    def apply(self) -> None:
        """Translate. Raises: InputError: an argument has no equivalent."""
        if self._own.backend == "auto":
            self._own.backend = ENGINES.get(self._name, f"lm-eval:{self._name}")
        if self._opens_checkpoint():
            self._name_checkpoint()
            self._refuse()
            self._leave_out()
            self._move_to_flags()
            self._choose_class()
        else:
            named = [self._left.pop(key, None) for key in ("model", "pretrained")]
            self._own.model = [str(next(filter(None, named), self._name))]
            if "batch_size" in self._left:
                self._set("batch_size", self._left.pop("batch_size"))
        self._own.model_args = self._left

    def _opens_checkpoint(self) -> bool:
        from harness.engines.lm_eval import LM_EVAL_PREFIX, takes_checkpoint

        backend = self._own.backend
        return takes_checkpoint(backend) if backend.startswith(LM_EVAL_PREFIX) else True

    def _name_checkpoint(self) -> None:
        """Set ``--model`` and ``--base``: the adapter is the model, and `pretrained` its base."""
        source = self._left.pop("pretrained", None)
        if source is None:
            raise InputError(
                f"--model {self._name}: is an engine, and no checkpoint is named; add --model_args pretrained=CKPT."
            )
        source = self._inside(str(source))
        adapters = [str(value) for key in ADAPTERS if (value := self._left.pop(key, None))]
        if adapters:
            self._own.base = source
        self._own.model = [adapters[0] if adapters else source]

    def _inside(self, source: str) -> str:
        """Return the folder or file inside `source` that `subfolder` and `gguf_file` name."""
        for key in ("subfolder", "gguf_file"):
            inner = self._left.pop(key, None)
            if not inner:
                continue
            if not os.path.isdir(os.path.expanduser(source)):  # noqa: PTH111, PTH112 - false for ~nobody, too
                raise InputError(
                    f"--model_args {key}={inner}: pretrained={source} is no local folder; download it, and give "
                    "the path of the folder or .gguf file as --model."
                )
            source = str(Path(source) / str(inner))
        return source

    def _refuse(self) -> None:
        refused = REFUSED if self._own.backend in ENGINES.values() else NOWHERE
        for key in refused:
            if self._left.get(key) is not None:
                raise InputError(f"--model_args {key}={self._left[key]}: cannot be used here; {REFUSED[key]}.")
        end = self._left.get("think_end_token")
        if isinstance(end, int):
            raise InputError(f"--model_args think_end_token={end}: give the tag's text, such as </think>.")

    def _leave_out(self) -> None:
        if self._own.backend not in ENGINES.values():
            return
        for key, values in SAME.items():
            if self._left.get(key) in values:
                del self._left[key]
        for key, reason in LEFT_OUT.items():
            if key in self._left:
                self.notes.append(f"--model_args {key}={self._left.pop(key)}: left out; {reason}.")

    def _move_to_flags(self) -> None:
        self._left = {key: value for key, value in self._left.items() if value is not None}
        if self._left.get("revision") == "main":  # lm-eval's default, also for folders
            del self._left["revision"]
        for key, flag in FLAGS.items():
            if key in self._left:
                self._set(flag, self._left.pop(key), key)
        template = self._left.pop("chat_template_args", None) or {}
        if "enable_thinking" in self._left:
            template = {**template, "enable_thinking": self._left.pop("enable_thinking")}
        if template:
            own = pairs("--chat_template_args", self._own.chat_template_args)
            self._own.chat_template_args = {**template, **own}

    def _set(self, flag: str, value: object, key: str | None = None) -> None:
        """Set a flag to the value of an argument. Raises: InputError: it is wrong, or given twice with two values."""
        key = key or flag
        if value is False:
            return
        text = str(value).removeprefix("torch.") if flag == "dtype" else str(value)
        words = [f"--{flag}"] if value is True else [f"--{flag}", text]
        parser = _flags_parser(f"--model_args {key}={value}")
        parsed = getattr(parser.parse_args(words), flag)
        before = getattr(self._own, flag)
        if before not in (parsed, parser.get_default(flag)):
            raise InputError(
                f"--model_args {key}={value}: differs from --{flag} {before}, which means the same; give one of them."
            )
        setattr(self._own, flag, parsed)

    def _choose_class(self) -> None:
        """Take lm-eval's own class where only that takes an argument; otherwise rename those of the engine here."""
        engine = self._own.backend
        only_there = [key for key in self._left if key in ON_LM_EVAL.get(engine, ())]
        if only_there:
            self._own.backend = f"lm-eval:{engine}"
            self.notes.append(
                f"--model_args {', '.join(only_there)}: only lm-eval's own model takes this, so the engine is "
                f"lm-eval:{engine}, which is slower than {engine}."
            )
            wrong = next((key for key in self._left if key in HF_OWN), None)
            if wrong is not None:
                raise InputError(f"--model_args {wrong}: is unknown to lm-eval:{engine}; leave it out.")
        elif engine == "hf":
            self._left = {self._hf_name(key): value for key, value in self._left.items()}

    def _hf_name(self, key: str) -> str:
        known = {**HF_ARGUMENTS, **{own: own for own in HF_OWN}}
        if key not in known:
            hint = did_you_mean(key, [*known, *FLAGS, *ADAPTERS, *ON_LM_EVAL["hf"], "pretrained"], limit=1)
            raise InputError(
                f"--model_args {key}: unknown to the hf engine.{hint} --backend lm-eval:hf passes any argument on to "
                "transformers."
            )
        return known[key]


def _flags_parser(place: str) -> RaisingParser:
    parser = RaisingParser(prog=place, allow_abbrev=False, add_help=False, help_at="harness eval --help")
    declare: Callable[[Any], None]
    for declare in (eval_flags.add_engine_flags, eval_flags.add_prompt_flags, lm_eval_flags.add_arguments):
        declare(parser.add_argument_group())
    return parser

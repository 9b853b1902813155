"""Open a transformers model and its tokenizer the way lm-eval's `hf` model opens them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.checkpoints.fit import check_causal, check_size, check_whole
from harness.engines.hf.adapters import virtual_tokens, with_adapter
from harness.engines.hf.freed_memory import return_freed_memory
from harness.engines.hf.runner import ran_out_of_memory
from harness.engines.sampling_fields import restricted
from harness.engines.spec import DTYPES
from harness.errors import CheckpointError, InputError, whole_reason

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class HfSpec:
    """What to open, and how.

    Attributes:
        path: A model folder or hub id.
        tokenizer: Its tokenizer's folder or hub id; None means `path`.
        adapter: A PEFT adapter's folder or hub id; it is applied unmerged.
        dtype: Of weights and activations: ``float32``, ``bfloat16``, ``float16``, or ``auto`` for the checkpoint's.
        device: A torch device; ``auto`` means CUDA when it is available.
        batch_tokens: Tokens computed at a time; ``auto`` means the device's default. Running out of memory halves it.
        max_length: Longest input in tokens; None means the model's context.
        add_bos: Whether to add special tokens; None leaves it to the tokenizer.
        trust_remote_code: Whether the checkpoint's own Python may run.
        revision: The hub revision.
        think_end: The tag that ends the model's reasoning; None if it has none.
        attn_implementation: Transformers' attention for rows and for generation; None means its default.
    """

    path: str
    tokenizer: str | None = None
    adapter: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: int | Literal["auto"] = "auto"
    max_length: int | None = None
    add_bos: bool | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    think_end: str | None = None
    attn_implementation: str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype!r} is unknown; give one of {', '.join(DTYPES)}")
        if self.batch_tokens != "auto" and (not isinstance(self.batch_tokens, int) or self.batch_tokens < 1):
            raise InputError(f"batch_tokens is {self.batch_tokens}; give a positive number of tokens, or auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model in evaluation mode on its device, its tokenizer with a padding token, and its context in tokens."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int


def load(spec: HfSpec) -> Opened:
    """Open `spec`.

    Raises:
        CheckpointError: The checkpoint or its adapter cannot be read.
    """
    from lm_eval.models.utils import configure_pad_token, resolve_max_length
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = device_of(spec.device)
    where: dict[str, Any] = {"revision": spec.revision or "main", "trust_remote_code": spec.trust_remote_code}
    bos: dict[str, Any] = {} if spec.add_bos is None else {"add_bos_token": spec.add_bos}
    attention: dict[str, Any] = {}
    if spec.attn_implementation is not None:
        attention["attn_implementation"] = spec.attn_implementation
    if Path(spec.path).is_dir():
        check_causal(Path(spec.path))
        if not spec.trust_remote_code:
            check_size(Path(spec.path))
    try:
        tokenizer = AutoTokenizer.from_pretrained(spec.tokenizer or spec.path, use_fast=True, **where, **bos)
        return_freed_memory()  # loading needs the most: the checkpoint's file and the weights made from it
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            spec.path, dtype=spec.dtype, output_loading_info=True, **where, **attention
        )
    except Exception as error:  # damaged configs and weights raise exceptions of any type
        if ran_out_of_memory(error):
            raise
        kind = "folder" if Path(spec.path).is_dir() else "hub id"
        if not spec.trust_remote_code and "trust_remote_code" in str(error):
            raise CheckpointError(
                f"the model {kind} {spec.path!r} contains Python code, which is not run unless you trust it; read it, "
                "then give --trust_remote_code."
            ) from None
        raise CheckpointError(f"cannot open the model {kind} {spec.path!r}: {whole_reason(error)}") from error
    model, info = loaded  # with output_loading_info, transformers returns both
    check_whole(spec.path, info)
    model.generation_config = restricted(model.generation_config)
    if spec.adapter is not None:
        model = with_adapter(model, tokenizer, spec.adapter)
    model = model.to(device).eval()
    tokenizer = configure_pad_token(tokenizer, model_config=model.config)
    taken = 0 if spec.adapter is None else virtual_tokens(model)
    max_length = spec.max_length or resolve_max_length(model.config, tokenizer) - taken
    return Opened(model=model, tokenizer=tokenizer, max_length=max_length)


def device_of(name: str) -> torch.device:
    """Return the device that `name` means here; ``auto`` is CUDA when it is available, otherwise the CPU.

    Raises:
        InputError: there is no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device {name}: cannot be used here ({whole_reason(error)}); give cpu, cuda:N or auto."
        ) from None
    return device

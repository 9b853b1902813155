"""Whether checkpoints are of one model, apart from their tensors: the same configuration and the same tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint, read_json
from harness.checkpoints.fit import check_causal
from harness.digests import file_digest
from harness.errors import SpecError, first_line
from harness.trainers.averaging.members import Member
from harness.trainers.averaging.output import tokenizer_files

# Fields of config.json that do not change what the model computes. Data types are compared tensor by tensor.
IGNORED_FIELDS = {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}


def check_agreement(members: Sequence[Member]) -> None:
    """Compare each checkpoint with the first.

    Raises:
        InputError: names the first field of the configuration, or the part of the tokenizer, that differs.
    """
    first, *others = members
    config = _config(first.checkpoint)
    for other in others:
        _refuse_difference(first, config, other, _config(other.checkpoint))
    if len({_tokenizer_files(member.checkpoint) for member in members}) > 1:
        parts = dict(_tokenizer_parts(first))
        for other in others:
            for part, value in _tokenizer_parts(other):
                if value != parts[part]:
                    raise SpecError(
                        f"checkpoints: {first.place} and {other.place} have different tokenizers (their {part} "
                        "differs); an average needs one tokenizer."
                    )


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    check_causal(checkpoint.weights)
    path = checkpoint.weights / "config.json"
    config = read_json(path, "a transformers folder")
    if config.get("quantization_config"):
        raise SpecError(f"checkpoints: {path} has a quantization_config; give checkpoints that are not quantized.")
    return {name: value for name, value in config.items() if name not in IGNORED_FIELDS}


def _refuse_difference(first: Member, config: Mapping[str, Any], other: Member, others: Mapping[str, Any]) -> None:
    for name in sorted({*config, *others}):
        if config.get(name) != others.get(name):
            raise SpecError(
                f"checkpoints: {name} is {_short(config.get(name))} in {first.place} and {_short(others.get(name))} in "
                f"{other.place} (config.json); an average needs one architecture."
            )


def _short(value: Any) -> str:
    return repr(value)[:60]


def _tokenizer_files(checkpoint: Checkpoint) -> tuple[tuple[str, str], ...]:
    return tuple((path.name, file_digest(path)) for path in tokenizer_files(checkpoint))


def _tokenizer_parts(member: Member) -> Iterator[tuple[str, Any]]:
    """Yield what determines the tokens of a text, by name. Files may differ in form, such as the order of keys."""
    from transformers import AutoTokenizer

    place = member.checkpoint.tokenizer
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = first_line(error, max_characters=160)
        raise SpecError(f"checkpoints: the tokenizer in {place} cannot be loaded ({reason}).") from None
    yield "vocabulary", tokenizer.get_vocab()
    yield "set of special tokens", {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    yield "chat template", tokenizer.chat_template
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        yield "way of splitting texts", tokenizer.backend_tokenizer.to_str()
    else:
        yield "way of splitting texts", type(tokenizer).__name__

"""The tokenizer of a stage: the parent's, another with the same tokens, or a new one; and its chat template."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.console import note
from harness.errors import InputError, SpecError, did_you_mean, first_line
from harness.trainers.data.chat import Chat, Tokenizer
from harness.trainers.data.sources import Source, SourcePosition
from harness.trainers.stage.spec import StageSpec, TokenizerSpec

CONTEXT_TOKENS = 2048
LONGEST_NAME = 255  # bytes of a file name
END, PAD = "<|endoftext|>", "<|pad|>"
# A template for any tokenizer: each message ends with its end-of-sequence token, and roles are written as text.
PLAIN = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def load_tokenizer(
    spec: StageSpec,
    parent: Checkpoint | None,
    sources: Sequence[Source],
    saved: Path | None,
    planned: Tokenizer | None = None,
) -> Tokenizer:
    """Return the stage's tokenizer, with end-of-sequence and padding tokens, and the chat template of the stage file.

    Args:
        spec: The stage.
        parent: Its parent.
        sources: Texts to train a tokenizer on.
        saved: Folder of the tokenizer that an earlier run of this stage trained; None when there is none.
        planned: The tokenizer of a parent that is not trained yet.

    Raises:
        InputError: it cannot be loaded, has no end-of-sequence token, gives the parent's tokens other numbers, or the
            chat template is unknown or does not fit.
    """
    if isinstance(spec.tokenizer, TokenizerSpec):
        tokenizer = (
            train_tokenizer(spec.tokenizer, sources, skip_bad=spec.data.when_bad == "skip")
            if saved is None
            else _open_tokenizer(str(saved))
        )
    else:
        parents: Any = planned if parent is None else _open_tokenizer(str(parent.tokenizer))
        tokenizer = deepcopy(parents) if spec.tokenizer is None else _open_tokenizer(spec.tokenizer)
        if parents is not None and spec.tokenizer is not None:
            _check_same_tokens(spec, tokenizer, parents)
        if tokenizer.eos_token is None:
            place = spec.tokenizer or (parent.tokenizer if parent is not None else spec.from_)
            raise SpecError(f"tokenizer: {place} has no end-of-sequence token; set eos_token in its configuration.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if spec.chat_template is not None:
        tokenizer.chat_template = _chat_template(spec.chat_template, tokenizer)
    return tokenizer


def _open_tokenizer(place: str) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(place)
    except Exception as error:  # a damaged tokenizer.json raises errors of all kinds
        raise SpecError(f"tokenizer: {place} cannot be loaded ({first_line(error, max_characters=160)}).") from None


def _check_same_tokens(spec: StageSpec, tokenizer: Tokenizer, parents: Tokenizer) -> None:
    """Check that a given tokenizer has all of the parent's tokens; it may have more, for which there may be rows."""
    own, known = tokenizer.get_vocab(), parents.get_vocab()
    if any(own.get(token) != number for token, number in known.items()):
        raise SpecError(
            f"tokenizer: {spec.tokenizer} has another vocabulary ({len(own)} tokens) than the parent {spec.from_} "
            f"({len(known)}); remove tokenizer to use the parent's."
        )


def _chat_template(given: str, tokenizer: Tokenizer) -> str:
    """Return the template of a file, of this name in the tokenizer or in TRL, or `PLAIN`.

    Raises:
        InputError: there is none, or a named template ends answers with another token than the tokenizer ends texts.
    """
    if "\n" in given or len(given) > LONGEST_NAME:
        raise SpecError("chat_template: is the text of a template; write it into a file and give its path.")
    path = Path(given).expanduser()
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"chat_template: {given} cannot be read ({first_line(error)}).") from None
        ending = _ending(text, tokenizer)
        if not ending.startswith(tokenizer.eos_token):
            note(
                f"note: the chat template {given} ends an answer with {ending!r}, this tokenizer a text with "
                f"{tokenizer.eos_token!r}; generation stops at the second one only"
            )
        return text
    own = tokenizer.chat_template if isinstance(tokenizer.chat_template, dict) else {}
    known: dict[str, str | Path] = {**_trl_templates(), **own, "plain": PLAIN}
    if given not in known:
        raise SpecError(
            f"chat_template: {given!r} is neither a file nor a known template; give a file, plain, or a name of TRL's "
            f"templates such as llama3, qwen3 or gemma.{did_you_mean(given, known)}"
        )
    held = known[given]
    text = held if isinstance(held, str) else held.read_text(encoding="utf-8")
    ending = _ending(text, tokenizer)
    if not ending.startswith(tokenizer.eos_token):
        raise SpecError(
            f"chat_template: {given} ends an answer with {ending!r}, but this tokenizer ends a text with "
            f"{tokenizer.eos_token!r}, so generation would not stop; give plain, or a tokenizer whose eos_token it is."
        )
    return text


def _ending(template: str, tokenizer: Tokenizer) -> str:
    """Return what a template writes after an answer; empty if it fails, which the first record will show."""
    before, tokenizer.chat_template = tokenizer.chat_template, template
    ending = Chat(tokenizer).ending.strip()
    tokenizer.chat_template = before
    return ending


def _trl_templates() -> dict[str, Path]:
    """Templates of real models that TRL brings along, by name."""
    found = importlib.util.find_spec("trl")
    if found is None or found.origin is None:
        return {}
    files = sorted((Path(found.origin).parent / "chat_templates").glob("*.jinja"))
    return {file.stem: file for file in files if not file.stem.endswith("_training")}


def train_tokenizer(spec: TokenizerSpec, sources: Sequence[Source], *, skip_bad: bool = False) -> Tokenizer:
    """Train a byte-level BPE tokenizer on the beginnings of the sources, with equal shares of text."""
    from tokenizers import Tokenizer as Bpe
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Bpe(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    share = int(spec.sample_mb * 1e6 / len(sources))
    raw.train_from_iterator(
        itertools.chain.from_iterable(_first_texts(source, share, skip_bad=skip_bad) for source in sources), trainer
    )
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=raw, bos_token=END, eos_token=END, pad_token=PAD, model_max_length=CONTEXT_TOKENS)


def _first_texts(source: Source, characters: int, *, skip_bad: bool) -> Iterator[str]:
    for raw, _ in source.read_raw(SourcePosition()):
        try:
            record = source.convert(raw)
        except InputError:
            if not skip_bad:
                raise
            continue
        text = record["text"] if "text" in record else f"{record['prompt']}{record['completion']}"
        yield text
        characters -= len(text)
        if characters <= 0:
            return

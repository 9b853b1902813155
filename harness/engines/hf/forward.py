"""Forward passes of a transformers model: a pack, a prefix, or rows the plain way; log-probabilities out.

Knows tensors, not requests: what is computed together is decided in `prefix`, and by whom in `packed`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.engines.base import Scored
from harness.engines.hf import attention
from harness.engines.hf.attention import CannotPackError, States
from harness.engines.hf.half_precision import half_products_are_slow, upcast_matmuls
from harness.engines.hf.prefix_tree import TokenTree
from harness.engines.tokens import Span

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Rows of logits turned into log-probabilities at a time: they are another copy, so a small one.
_ROWS_AT_A_TIME = 128


class Forward:
    """Runs one model.

    Args:
        model: A causal language model in evaluation mode, PEFT's wrappers included.

    Attributes:
        upcasts: Whether half-precision products are computed in float32, since this processor is slow at them.
        own_attention: The implementation of attention that the model was opened with.
        bytes_of_logits: What the logits of one position take.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.device = model.device
        self.dtype = model.dtype
        self.bytes_of_logits = model.config.get_text_config().vocab_size * model.dtype.itemsize
        self.own_attention = attention_of(model)
        self.upcasts = half_products_are_slow(self.dtype, self.device)
        self._packing_now = 0
        self._lock = threading.Lock()

    @torch.inference_mode()
    def prefix(self, tokens: Sequence[int], *, behind: States | None) -> States:
        """Keys and values of a prefix, of which all but the last `tokens` are `behind`."""
        depth = 0 if behind is None else behind.length
        tree = TokenTree(depth=depth)
        tree.extend(tokens)
        states = States()
        with self._packing():
            self._row([tree], behind, keep=states, rows=[len(tokens) - 1])
        return states

    @torch.inference_mode()
    def pack(self, trees: Sequence[TokenTree], spans: Sequence[Span], *, behind: States | None) -> dict[int, Scored]:
        """Score the sequences of `trees`, in one row behind the prefix whose states are `behind`; by sequence.

        Several threads may call this at the same time, but nothing else beside it.
        """
        row_of: dict[int, int] = {}  # index in the pack -> row of the logits
        rows: list[int] = []
        targets: list[int] = []
        counts: dict[int, int] = {}
        start = 0
        for tree in trees:
            for sequence, read in tree.reads.items():
                rows += [row_of.setdefault(start + index, len(row_of)) for index in read]
                targets += spans[sequence].targets
                counts[sequence] = len(read)
            start += len(tree.tokens)
        with self._packing():
            logits = self._row(trees, behind, keep=None, rows=list(row_of))
        return dict(zip(counts, _scores(logits, rows, targets, list(counts.values())), strict=True))

    @torch.inference_mode()
    def plain(self, spans: Sequence[Span]) -> list[Scored]:
        """Score each span in a row of its own, padded on the right, with the model's own attention."""
        longest = max(len(span.tokens) for span in spans)
        ids = torch.zeros(len(spans), longest, dtype=torch.long)
        for row, span in enumerate(spans):
            ids[row, : len(span.tokens)] = torch.tensor(span.tokens)
        first = min(len(span.tokens) - len(span.targets) for span in spans)
        width = longest - first
        with self.arithmetic():
            logits = self.model(input_ids=ids.to(self.device), use_cache=False, logits_to_keep=width).logits
        logits = logits[:, -width:]  # some models give the logits of all positions, whatever they are asked for
        rows: list[int] = []
        targets: list[int] = []
        for row, span in enumerate(spans):
            stop = row * width + len(span.tokens) - first
            rows += range(stop - len(span.targets), stop)
            targets += span.targets
        return _scores(logits.flatten(0, 1), rows, targets, [len(span.targets) for span in spans])

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """How products are computed; every forward pass runs in it."""
        return upcast_matmuls() if self.upcasts else contextlib.nullcontext()

    def _row(
        self, trees: Sequence[TokenTree], behind: States | None, *, keep: States | None, rows: Sequence[int]
    ) -> Tensor:
        """Run `trees` as one row; returns the logits at `rows`, [rows, vocabulary]."""
        ids = [token for tree in trees for token in tree.tokens]
        positions = [position for tree in trees for position in tree.positions]
        packed = attention.layout(trees, prefix=behind, device=self.device, dtype=self.dtype, keep=keep)
        with self.arithmetic():
            output = self.model(
                input_ids=torch.tensor([ids], device=self.device),
                position_ids=torch.tensor([positions], device=self.device),
                use_cache=False,
                logits_to_keep=torch.tensor(rows, device=self.device),
                packed=packed,
            )
        if packed.call == 0:
            raise CannotPackError("its attention is not called through transformers' interface")
        logits: Tensor = output.logits[0]
        if len(logits) != len(rows):
            raise CannotPackError("it gives the logits of other positions than it is asked for")
        return logits

    @contextlib.contextmanager
    def _packing(self) -> Iterator[None]:
        """Swap the packs' attention in; the last of those who pack at the same time puts the model's own back."""
        with self._lock:
            if not self._packing_now:
                self.model.set_attn_implementation(attention.NAME)
            self._packing_now += 1
        try:
            if attention_of(self.model) != attention.NAME:
                raise CannotPackError("its attention cannot be set")
            yield
        finally:
            with self._lock:
                self._packing_now -= 1
                if not self._packing_now:
                    self.model.set_attn_implementation(self.own_attention)


def attention_of(model: PreTrainedModel) -> str:
    """The implementation of attention that the model runs with; transformers has no public word for it."""
    implementation: str = model.config._attn_implementation  # noqa: SLF001
    return implementation


def _scores(logits: Tensor, rows: Sequence[int], targets: Sequence[int], counts: Sequence[int]) -> list[Scored]:
    """Sum log-probabilities span by span.

    Args:
        logits: [rows, vocabulary], in the model's dtype; the softmax is taken in float32.
        rows: For each target, the row that predicts it.
        targets: Token ids, span after span.
        counts: Targets of each span.
    """
    row, target = torch.tensor(rows, device=logits.device), torch.tensor(targets, device=logits.device)
    chosen = logits[row, target]
    logprobs = torch.empty(len(rows), dtype=torch.float64, device=logits.device)
    greedy = torch.zeros(len(rows), dtype=torch.bool, device=logits.device)
    for first in range(0, len(logits), _ROWS_AT_A_TIME):
        chunk = logits[first : first + _ROWS_AT_A_TIME]
        mine = ((row >= first) & (row < first + len(chunk))).nonzero()[:, 0]
        local = row[mine] - first
        # The same function as lm-eval's: over a large vocabulary its float32 sum is off by some 1e-5 a token.
        logprobs[mine] = chunk.float().log_softmax(dim=-1)[local, target[mine]].double()
        # Equal logits go to the lowest token id; looking for it only where it matters saves most of the time.
        best = mine[chosen[mine] == chunk.amax(dim=-1)[local]]
        # (In half precision argmax takes twice as long.)
        greedy[best] = logits[row[best]].float().argmax(dim=-1) == target[best]
    parts = torch.split(logprobs.cpu(), list(counts)), torch.split(greedy.cpu(), list(counts))
    return [Scored(float(a.sum()), bool(b.all())) for a, b in zip(*parts, strict=True)]

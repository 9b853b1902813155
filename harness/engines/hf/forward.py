"""Forward passes of a transformers model: a prefix, a pack, or padded rows; log-probabilities come out.

Knows tensors, not requests: `prefix_tree` decides what is computed together, `span_scorer` when.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.engines.base import Scored
from harness.engines.hf import attention
from harness.engines.hf.attention import CannotPackError, Layout, States, to_device
from harness.engines.hf.half_precision import half_products_are_slow, upcast_matmuls
from harness.engines.hf.prefix_tree import TokenTree
from harness.engines.tokens import Span

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Rows of logits turned into log-probabilities at a time on a CPU: each is copied in float32, and few fit in its cache.
_ROWS_AT_A_TIME = 128
# A GPU needs many rows to be busy; this limits the size of their copy in float32.
_GPU_SOFTMAX_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The model's inputs for one row, on its device.

    Attributes:
        ids: Token ids, [1, row].
        positions: Position of each token in its own sequence, [1, row].
        rows: Positions in the row where logits are computed, [rows].
        layout: What attention needs to know about the row.
    """

    ids: Tensor
    positions: Tensor
    rows: Tensor
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack that is ready to run.

    Attributes:
        inputs: The model's inputs.
        rows: For each target, the row of logits that predicts it.
        targets: Token ids, sequence after sequence.
        counts: Number of targets of each sequence, by sequence.
    """

    inputs: Inputs
    rows: list[int]
    targets: list[int]
    counts: dict[int, int]


class Forward:
    """Runs one model.

    Args:
        model: A causal language model in evaluation mode, PEFT's wrappers included.

    Attributes:
        upcasts: Whether half-precision products are computed in float32, because this processor is slow at them.
        own_attention: Name of the attention implementation that the model was opened with.
        bytes_of_logits: Size of the logits of one position.
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
        """Compute the keys and values of a prefix: `tokens`, and before them those whose states are `behind`.

        For the prefix T S of which T was computed before, `tokens` is S and `behind` has the states of T; returned are
        those of T S.
        """
        depth = 0 if behind is None else behind.length
        tree = TokenTree(depth=depth)
        tree.extend(tokens)
        states = States()
        with self._packing():
            self._logits(self._inputs([tree], behind, keep=states, rows=[len(tokens) - 1]))
        return states

    def pack(self, trees: Sequence[TokenTree], spans: Sequence[Span], *, behind: States | None) -> dict[int, Scored]:
        """Score the sequences of `trees` in one row behind the prefix whose states are `behind`; by sequence.

        Several threads may call this at the same time. Of the other methods, only `prepare` may run meanwhile.
        """
        return self.run(self.prepare(trees, spans, behind=behind))

    @torch.inference_mode()
    def prepare(self, trees: Sequence[TokenTree], spans: Sequence[Span], *, behind: States | None) -> Pack:
        """Make the inputs of a pack. It does not use the model, so it may run at the same time as any other method."""
        # Logits are computed only where something is read, and once where several sequences read. Of a tree 5 6 (7 | 9)
        # with sequence 0 reading at 6 7 and sequence 1 reading at 6 9:
        #   row_of {1: 0, 2: 1, 3: 2}    rows [0, 1, 0, 2]    targets [7, its next, 9, its next]    counts {0: 2, 1: 2}
        row_of: dict[int, int] = {}  # place in the row of the pack -> row of the logits
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
        inputs = self._inputs(trees, behind, keep=None, rows=list(row_of))
        return Pack(inputs=inputs, rows=rows, targets=targets, counts=counts)

    @torch.inference_mode()
    def run(self, pack: Pack) -> dict[int, Scored]:
        """Score a pack; threads may call this under the same rule as `pack`."""
        with self._packing():
            logits = self._logits(pack.inputs)
        scores = _scores(logits, pack.rows, pack.targets, list(pack.counts.values()))
        return dict(zip(pack.counts, scores, strict=True))

    @torch.inference_mode()
    def plain(self, spans: Sequence[Span]) -> list[Scored]:
        """Score each span in a row of its own, padded on the right, with the model's own attention.

        Padding on the right needs no mask: attention is causal, so no real token attends to it. Logits are kept for the
        last positions of the batch, from the first that any span reads:

            tokens    5 6 7 8      reads at 7 8        width 3: the logits of the columns 1 to 3,
                      5 6 9 .      reads at 6 9        flattened to the rows 0 1 2 | 3 4 5; read are 1 2 and 3 4
        """
        longest = max(len(span.tokens) for span in spans)
        ids = torch.zeros(len(spans), longest, dtype=torch.long)
        for row, span in enumerate(spans):
            ids[row, : len(span.tokens)] = torch.tensor(span.tokens)
        first = min(len(span.tokens) - len(span.targets) for span in spans)
        width = longest - first
        with self.arithmetic():
            logits = self.model(input_ids=ids.to(self.device), use_cache=False, logits_to_keep=width).logits
        logits = logits[:, -width:]  # some models ignore `logits_to_keep`
        rows: list[int] = []
        targets: list[int] = []
        for row, span in enumerate(spans):
            stop = row * width + len(span.tokens) - first
            rows += range(stop - len(span.targets), stop)
            targets += span.targets
        return _scores(logits.flatten(0, 1), rows, targets, [len(span.targets) for span in spans])

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """The context that every forward pass runs in: it decides how products are computed."""
        return upcast_matmuls() if self.upcasts else contextlib.nullcontext()

    def _inputs(
        self, trees: Sequence[TokenTree], behind: States | None, *, keep: States | None, rows: Sequence[int]
    ) -> Inputs:
        """Return the inputs for `trees` as one row, with logits at `rows`."""
        ids = [token for tree in trees for token in tree.tokens]
        positions = [position for tree in trees for position in tree.positions]
        return Inputs(
            ids=to_device(torch.tensor([ids]), self.device),
            positions=to_device(torch.tensor([positions]), self.device),
            rows=to_device(torch.tensor(rows), self.device),
            layout=attention.layout(trees, prefix=behind, device=self.device, dtype=self.dtype, keep=keep),
        )

    def _logits(self, inputs: Inputs) -> Tensor:
        """Run a row; returns the logits at its rows, [rows, vocabulary]."""
        with self.arithmetic():
            output = self.model(
                input_ids=inputs.ids,
                position_ids=inputs.positions,
                use_cache=False,
                logits_to_keep=inputs.rows,
                packed=inputs.layout,
            )
        if inputs.layout.call == 0:
            raise CannotPackError("its attention is not called through transformers' interface")
        logits: Tensor = output.logits[0]
        if len(logits) != len(inputs.rows):
            raise CannotPackError("it returns logits of other positions than those requested")
        return logits

    @contextlib.contextmanager
    def _packing(self) -> Iterator[None]:
        """Run with the packs' attention.

        The model has one attention for all threads: the first to enter sets the packs', the last to leave restores the
        model's own.
        """
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
    """Name of the attention implementation that the model runs with; transformers has no public name for it."""
    implementation: str = model.config._attn_implementation  # noqa: SLF001
    return implementation


def _scores(logits_RV: Tensor, rows: Sequence[int], targets: Sequence[int], counts: Sequence[int]) -> list[Scored]:
    """Sum log-probabilities span by span.

    Args:
        logits_RV: [rows, vocabulary], in the model's dtype; the softmax is taken in float32.
        rows: For each target, the row that predicts it; several targets may share a row.
        targets: Token ids, span after span.
        counts: Number of targets of each span.
    """
    # The softmax of all rows at once would copy all logits in float32, the largest tensor of a pass. So a few rows at a
    # time: `mine` are the targets that these rows predict, `local` the rows counted within the chunk. With chunks of 2,
    #   rows [0, 1, 0, 2]  ->  chunk 0: mine [0, 1, 2], local [0, 1, 0]; chunk 1: mine [3], local [0]
    # Both are computed on the host, which would otherwise wait for the GPU at each chunk.
    device = logits_RV.device
    row, target = torch.tensor(rows), torch.tensor(targets)
    logprobs = torch.empty(len(rows), dtype=torch.float64, device=device)
    greedy = torch.zeros(len(rows), dtype=torch.bool, device=device)
    step = _rows_at_a_time(logits_RV)
    for first in range(0, len(logits_RV), step):
        chunk_RV = logits_RV[first : first + step]
        mine = ((row >= first) & (row < first + len(chunk_RV))).nonzero()[:, 0]
        place, local, own = (to_device(each, device) for each in (mine, row[mine] - first, target[mine]))
        # The same function as in lm-eval: over a large vocabulary its float32 sum is off by some 1e-5 per token, and
        # scores should be off by the same.
        logprobs[place] = chunk_RV.float().log_softmax(dim=-1)[local, own].double()
        greedy[place] = _are_greedy(chunk_RV, local, own, on_cpu=device.type == "cpu")
    by_span = zip(torch.split(logprobs.cpu(), list(counts)), torch.split(greedy.cpu(), list(counts)), strict=True)
    return [Scored(float(logprob.sum()), bool(is_greedy.all())) for logprob, is_greedy in by_span]


def _rows_at_a_time(logits_RV: Tensor) -> int:
    if logits_RV.device.type == "cpu":
        return _ROWS_AT_A_TIME
    return max(_ROWS_AT_A_TIME, _GPU_SOFTMAX_BYTES // (4 * logits_RV.shape[1]))


def _are_greedy(logits_RV: Tensor, rows: Tensor, targets: Tensor, *, on_cpu: bool) -> Tensor:
    """Whether argmax, which takes the lowest id among equal logits, finds each target in its row; [targets]."""
    if not on_cpu:
        return logits_RV.argmax(dim=-1)[rows] == targets
    # Only targets with the largest logit of their row can be; leaving the others out saves most of argmax's time on a
    # CPU. On a GPU the host would have to wait for them.
    greedy = torch.zeros(len(targets), dtype=torch.bool)
    best = (logits_RV[rows, targets] == logits_RV.amax(dim=-1)[rows]).nonzero()[:, 0]
    # In float32, because argmax takes twice as long in half precision.
    greedy[best] = logits_RV[rows[best]].float().argmax(dim=-1) == targets[best]
    return greedy

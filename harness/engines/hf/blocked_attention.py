"""Attention on a CPU in blocks of queries, multiplied by oneDNN; used if `blocks_are_faster`.

torch's kernel multiplies 32 to 256 queries of one head at a time, in float32 whatever the precision (with MKL on the
processors that were measured). Here all heads that share a key head are multiplied in one product. For 3 heads of 400
tokens that share a key head, in blocks of 128 queries:

    block 0   queries   0:128 of 3 heads x keys 0:128 -> scores [384, 128], softmax, x values
    block 1   queries 128:256 of 3 heads x keys 0:256 -> scores [384, 256], ...

With the causal mask, keys after the block's last query are left out. Scores are float32 in any precision, as in torch's
kernel.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from harness.engines.hf.onednn import is_faster, product

# Queries per block; more where it would have fewer than `_LEAST_ROWS` rows. Larger blocks compute more scores that the
# causal mask hides, smaller ones have slower products.
_BLOCK = 128
# Fewer rows (queries times the heads that share a key head) or keys are faster in torch's kernel.
_LEAST_ROWS, _LEAST_KEYS = 256, 96
# Most scores of a block, for models with many heads or long contexts: 16 MB.
_MOST_SCORES = 2**22


def blocks_are_faster(query: Tensor, key: Tensor) -> bool:
    """Whether `attend_in_blocks` is expected to be faster than torch's kernel; shapes as in `attend_in_blocks`."""
    rows = query.shape[1] // key.shape[1] * query.shape[2]
    large = rows >= _LEAST_ROWS and key.shape[2] >= _LEAST_KEYS
    one_on_cpu = len(query) == 1 and query.device.type == "cpu" and query.dtype.itemsize <= 4
    return large and one_on_cpu and is_faster(torch.float32)


def attend_in_blocks(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Attention of one sequence.

    Args:
        query: [1, heads, queries, head dim].
        key: [1, key heads, keys, head dim]; each key head serves ``heads / key heads`` neighbouring heads.
        value: [1, key heads, keys, value dim].
        mask: [1, 1, queries, keys], added to the scores; None means causal, with as many keys as queries.
        scaling: Factor of the scores before the softmax; None means 1 / sqrt(head dim).

    Returns:
        [1, heads, queries, value dim].
    """
    heads, count, size = query.shape[1:]
    key_heads, keys = key.shape[1:3]
    factor = size**-0.5 if scaling is None else scaling
    queries = (query[0].float() * factor).reshape(key_heads, heads // key_heads, count, size)
    # oneDNN is slow if the second matrix is not contiguous.
    key_HKD, value_HDK = key[0].float().contiguous(), value[0].float().transpose(1, 2).contiguous()
    output = queries.new_empty(*queries.shape[:3], value.shape[-1])
    step = _block(heads // key_heads, count, keys)
    for start in range(0, count, step):
        stop = min(start + step, count)
        block = queries[:, :, start:stop]
        seen = stop if mask is None else keys
        first, added = (start, _causal(stop - start)) if mask is None else (0, mask[0, 0, start:stop])
        for head in range(key_heads):
            scores = product(block[head].reshape(-1, size), key_HKD[head, :seen]).view(*block.shape[1:3], seen)
            scores[:, :, first:] += added
            weights = scores.softmax(dim=-1).view(-1, seen)
            output[head, :, start:stop] = product(weights, value_HDK[head, :, :seen].contiguous()).view(
                *block.shape[1:3], -1
            )
    return output.view(1, heads, count, -1).to(query.dtype)


def _block(group: int, queries: int, keys: int) -> int:
    """Queries of a block; one block if the second would be short."""
    block = max(_BLOCK, _LEAST_ROWS // group)
    return max(1, min(queries if queries <= block * 3 // 2 else block, _MOST_SCORES // (group * keys)))


@functools.lru_cache(maxsize=8)
def _causal(queries: int) -> Tensor:
    """The mask of the last keys of a block, [queries, queries]: 0 up to the diagonal, minus infinity above it."""
    return torch.full((queries, queries), -torch.inf).triu_(1)

"""The items that flipped, as JSON for the script, which inserts them as text."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from harness.reports.analysis.flips import Flip, Flips, shortened
from harness.reports.page.matrix_view import embedded
from harness.visible import visible


def items_data(flips: Flips) -> Markup:
    """Return the selected items."""
    return embedded([_item(one) for one in flips.shown])


def _item(flip: Flip) -> dict[str, Any]:
    first = flip.samples[0]
    return {
        "task": visible(flip.task),
        "id": flip.doc_hash[:8],
        "gained": flip.gained,
        "prompt": shortened(first.prompt),
        "choices": [shortened(choice) for choice in first.choices],
        "key": first.key,
        "target": shortened(first.target),
        "rationale": shortened(first.rationale),
        "answers": [
            {
                "model": visible(name),
                "value": round(value, 3),
                "scores": [round(score, 3) if math.isfinite(score) else None for score in sample.log_likelihoods],
                "chosen": sample.chosen,
                "answer": shortened(sample.answer),
                "readFrom": shortened(sample.read_from),
                "text": shortened(sample.text),
            }
            for name, value, sample in zip((flip.baseline, flip.arm), flip.values, flip.samples, strict=True)
        ],
    }

"""The `hf` engine compared with lm-eval: a real model on public request sets, each architecture on synthetic ones."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.engines.base import Request
from tests.engines.hf.families import ALL, save_family
from tests.engines.hf.test_packed import assert_same_scores, loglikelihood, open_packed
from tests.synthetic import requests as synthetic

# A passage and a question with each answer spelled out; five shared examples and the answers' letters.
REQUEST_SETS = ("oe_eval/sciq/rc_0shot", "oe_eval/openbookqa/test_mc_5shot")


def real_requests(data_dir: Path, count: int) -> list[Request]:
    """The first requests of each set, half of `count` from each."""
    requests = []
    for name in REQUEST_SETS:
        with gzip.open(data_dir / name / "requests.jsonl.gz", "rt", encoding="utf-8") as lines:
            requests += requests_of(map(json.loads, itertools.islice(lines, count // len(REQUEST_SETS))))
    return requests


def requests_of(rows: Iterable[dict[str, Any]]) -> list[Request]:
    return [loglikelihood(row["request"]["context"], row["request"]["continuation"]) for row in rows]


def test_80_real_requests_score_as_in_lm_eval(smollm2: Path, data_dir: Path) -> None:
    engine = open_packed(smollm2)
    assert engine.description["packed_up_to"] == engine.description["max_length"]
    assert_same_scores(smollm2, engine, real_requests(data_dir, 80), batch_size=8)


@pytest.mark.slow
def test_1000_real_requests_score_as_in_lm_eval(smollm2: Path, data_dir: Path) -> None:
    assert_same_scores(smollm2, open_packed(smollm2), real_requests(data_dir, 1000), batch_size=8)


# The tiny models' tokens are little more than bytes. No request is cut, so that they still begin alike.
LONG = 4096


@pytest.mark.parametrize("name", ALL)
def test_24_requests_score_as_in_lm_eval_on_every_architecture(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name, max_length=LONG)
    rows = [*synthetic.spelled_out("sciq", 3), *synthetic.lettered("openbookqa", 3)]
    assert len(rows) == 24
    assert_same_scores(path, open_packed(path), requests_of(rows))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_1000_real_requests_score_as_in_lm_eval_on_every_architecture(
    name: str, tmp_path: Path, data_dir: Path
) -> None:
    path = save_family(tmp_path, name, max_length=LONG)
    assert_same_scores(path, open_packed(path), real_requests(data_dir, 1000))

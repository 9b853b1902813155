"""A tiny model and its engine, opened once for all files here, since opening one takes many seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from harness.engines.vllm.engine import VllmEngine
from tests.engines.hf.reference import open_hflm
from tests.engines.vllm.interpreter import use_model_runner
from tests.engines.vllm.tiny import open_tiny, save_model


@pytest.fixture(scope="package")
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing from a second thread and lose much on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tiny-for-vllm"))


@pytest.fixture(scope="package")
def tokenizer(model: Path) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model)
    return loaded


# The reduced twin of the tests on V2 is test_model_runners.py: each step of Triton's interpreter is slow.
@pytest.fixture(scope="package", params=["V1", pytest.param("V2", marks=pytest.mark.slow)])
def engine(
    request: pytest.FixtureRequest, one_thread: None, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmEngine]:
    with use_model_runner(request.param, tmp_path_factory.mktemp("interpreter")):
        opened = open_tiny(model)
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def reference(model: Path) -> HFLM:
    return open_hflm(model)

"""The tokenizer of a checkpoint that was saved without one: the folder above, or ``--tokenizer``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest, tokenizer_digest
from harness.checkpoints.resolver import expand, resolve
from harness.engines.spec import EngineSpec
from harness.engines.vllm.options import _arguments
from harness.errors import CheckpointError
from tests.conftest import HarnessCommand
from tests.models import save_tiny_adapter, save_tiny_llama


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def run(saved: Path, tmp_path: Path, own_cache: Path) -> Path:
    """A run as Trainer leaves it: the tokenizer in its folder, none in that of the checkpoints."""
    for step in (1, 2):
        shutil.copytree(saved, tmp_path / "run" / f"checkpoint-{step}", ignore=shutil.ignore_patterns("*token*"))
    for path in saved.glob("*token*"):
        shutil.copy(path, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def bare(run: Path, tmp_path: Path) -> Path:
    """A checkpoint without any tokenizer near it."""
    return Path(shutil.copytree(run / "checkpoint-1", tmp_path / "elsewhere" / "checkpoint-1"))


def test_a_checkpoint_without_tokenizer_uses_that_of_the_folder_above(run: Path) -> None:
    for source in [*expand(str(run)), str(run / "checkpoint-2")]:
        assert resolve(source).tokenizer == run


def test_its_own_tokenizer_comes_first(run: Path, saved: Path) -> None:
    for path in saved.glob("*token*"):
        shutil.copy(path, run / "checkpoint-1")
    checkpoint = resolve(str(run / "checkpoint-1"))
    assert checkpoint.tokenizer == run / "checkpoint-1"
    assert tokenizer_digest(checkpoint) is None


def test_without_any_tokenizer_the_error_offers_the_flag(bare: Path) -> None:
    with pytest.raises(CheckpointError, match="--tokenizer PATH_OR_ID") as caught:
        resolve(str(bare))
    assert "\n" not in str(caught.value)


def test_the_given_tokenizer_is_used_instead_of_any_other(bare: Path, run: Path, saved: Path) -> None:
    for source in (bare, run / "checkpoint-1", saved):
        assert resolve(str(source), tokenizer=str(run)).tokenizer == run


@pytest.mark.parametrize("given", ["./nowhere", "/no/such/folder", "~nobody-here/x"])
def test_a_given_tokenizer_must_be_one(given: str, bare: Path) -> None:
    with pytest.raises(CheckpointError, match=f"--tokenizer {given}: no folder with a tokenizer"):
        resolve(str(bare), tokenizer=given)
    with pytest.raises(CheckpointError, match="no folder with a tokenizer"):
        resolve(str(bare), tokenizer=str(bare))


def test_a_damaged_tokenizer_above_is_named(run: Path) -> None:
    (run / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run/tokenizer_config\.json: not readable as JSON"):
        resolve(str(run / "checkpoint-1"))


def test_an_adapter_takes_the_tokenizer_of_its_run_before_that_of_its_base(run: Path, saved: Path) -> None:
    assert resolve(str(save_tiny_adapter(run / "checkpoint-3", saved))).tokenizer == run
    assert resolve(str(save_tiny_adapter(run / "adapter", saved))).tokenizer == saved


def test_an_adapter_finds_the_tokenizer_of_a_base_that_has_none_of_its_own(run: Path, tmp_path: Path) -> None:
    adapter = save_tiny_adapter(tmp_path / "adapters" / "adapter", run / "checkpoint-1")
    assert resolve(str(adapter)).tokenizer == run


def test_the_digest_of_a_tokenizer_covers_its_files_and_no_others(run: Path) -> None:
    checkpoint = resolve(str(run / "checkpoint-1"))
    own, tokenizer = checkpoint_digest(checkpoint), tokenizer_digest(checkpoint)
    (run / "all_results.json").write_text("{}")
    (run / "README.txt").write_text("")
    assert (checkpoint_digest(checkpoint), tokenizer_digest(checkpoint)) == (own, tokenizer)
    (run / "chat_template.jinja").write_text("{{ messages }}")
    assert checkpoint_digest(checkpoint) == own
    assert tokenizer_digest(checkpoint) != tokenizer


def vllm_tokenizer(checkpoint: Checkpoint) -> str:
    return str(_arguments(checkpoint, EngineSpec(backend="vllm"))["tokenizer"])


def test_vllm_gets_the_same_tokenizer(run: Path, saved: Path, tmp_path: Path) -> None:
    assert vllm_tokenizer(resolve(str(run / "checkpoint-1"))) == str(run)
    assert vllm_tokenizer(resolve(str(saved), tokenizer=str(run))) == str(run)
    adapter = save_tiny_adapter(tmp_path / "adapter", saved)
    assert vllm_tokenizer(resolve(str(adapter), tokenizer=str(run))) == str(run)
    shutil.copy(saved / "tokenizer.json", adapter)
    assert vllm_tokenizer(resolve(str(adapter))) == str(saved), "it shares its base's engine"


def evaluated(harness: HarnessCommand, output: Path, *words: object) -> tuple[dict[str, object], str]:
    options = ["--tasks", "mini_logic", "--limit", 2, "--backend", "hf", "--device", "cpu", "--output_path", output]
    done = harness("eval", *words, *options)
    assert done.returncode == 0, done.stderr
    (record,) = output.glob("*/run_*.json")
    return json.loads(record.read_text(encoding="utf-8"))["model"], done.stdout


def test_another_tokenizer_is_another_model_to_record_and_journal(
    bare: Path, run: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    first, _ = evaluated(harness_here, tmp_path / "1", "--model", bare, "--tokenizer", run)
    again, printed = evaluated(harness_here, tmp_path / "2", "--model", bare, "--tokenizer", run)
    assert first == again
    assert first["tokenizer"] == str(run)
    assert "from the journal" in printed
    path = run / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"add_bos_token": True}))
    other, printed = evaluated(harness_here, tmp_path / "3", "--model", bare, "--tokenizer", run)
    assert "from the journal" not in printed
    assert other["digest"] != first["digest"]
    assert other["tokenizer_digest"] != first["tokenizer_digest"]


def test_a_service_takes_no_tokenizer(tmp_path: Path, harness_here: HarnessCommand) -> None:
    words = ["eval", "--model", "name", "--backend", "lm-eval:local-completions", "--tokenizer", "x"]
    done = harness_here(*words, "--tasks", "mini_logic", "--output_path", tmp_path / "out")
    assert done.returncode == 2
    assert "--tokenizer x: lm-eval:local-completions is a service" in done.stderr

"""Folders with the shards of a distributed training: the error has the command that merges them, and it works."""

from __future__ import annotations

import re
import shlex
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError
from tests.models import save_tiny_adapter, save_tiny_llama


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("saved") / "model")


def command_for(source: Path) -> str:
    with pytest.raises(CheckpointError, match="no merged weights; run `") as caught:
        resolve(str(source))
    message = str(caught.value)
    assert "\n" not in message
    command = re.search(r"`(.*)`", message)
    assert command
    return command[1]


def divide(weights: Path, shards: Path) -> dict[str, torch.Tensor]:
    """Replace a weight file by FSDP's shards; returns its tensors."""
    from torch.distributed.checkpoint.state_dict_saver import save

    tensors = load_file(weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save({"model": tensors}, checkpoint_id=shards)
    weights.unlink()
    return tensors


def run(command: str) -> None:
    """Run a printed command of accelerate, in this process."""
    from accelerate.commands.merge import merge_command, merge_command_parser  # type: ignore[import-untyped]

    program, name, *arguments = shlex.split(command)
    assert (program, name) == ("accelerate", "merge-weights")
    merge_command(merge_command_parser().parse_args(arguments))


def test_the_printed_command_merges_fsdps_shards(saved: Path, tmp_path: Path, own_cache: Path) -> None:
    step = Path(shutil.copytree(saved, tmp_path / "a run" / "checkpoint-1"))
    tensors = divide(step / "model.safetensors", step / "pytorch_model_fsdp_0")
    (step / "optimizer_0").mkdir()
    (step / "optimizer_0" / "__0_0.distcp").touch()
    command = command_for(step)
    assert command == command_for(step / "pytorch_model_fsdp_0")
    run(command)
    merged = load_file(step / "model.safetensors")
    assert resolve(str(step)).weight_files == (step / "model.safetensors",)
    assert all(torch.equal(merged[name], tensor) for name, tensor in tensors.items())


def test_an_adapters_shards_become_an_adapters_file(saved: Path, tmp_path: Path, own_cache: Path) -> None:
    adapter = save_tiny_adapter(tmp_path / "checkpoint-1", saved)
    divide(adapter / "adapter_model.safetensors", adapter / "pytorch_model_fsdp_0")
    command = command_for(adapter)
    assert command.startswith("accelerate merge-weights ")
    assert command.endswith(f"&& mv {adapter / 'model.safetensors'} {adapter / 'adapter_model.safetensors'}")


def _without_config(step: Path) -> None:
    (step / "config.json").unlink()


def _nothing(step: Path) -> None:
    pass


NEW, OLD = "python zero_to_fp32.py . output_dir/ --safe_serialization", "python zero_to_fp32.py . pytorch_model.bin"


@pytest.mark.parametrize("change", [_nothing, _without_config])
@pytest.mark.parametrize(
    ("script", "latest", "expected"),
    [
        (NEW, True, "python {step}/zero_to_fp32.py {step} {step} --safe_serialization"),
        (OLD, True, "python {step}/zero_to_fp32.py {step} {step}/pytorch_model.bin"),
        (NEW, False, "python {step}/zero_to_fp32.py {step} {step} --safe_serialization --tag global_step1"),
        (None, True, "python -m deepspeed.utils.zero_to_fp32 {step} {step} --safe_serialization"),
    ],
)
def test_deepspeeds_shards_name_its_script(
    change: Callable[[Path], None], script: str | None, latest: bool, expected: str, saved: Path, tmp_path: Path
) -> None:
    step = Path(shutil.copytree(saved, tmp_path / "checkpoint-1"))
    (step / "model.safetensors").unlink()
    change(step)
    (step / "global_step1").mkdir()
    (step / "global_step1" / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt").touch()
    if script is not None:
        (step / "zero_to_fp32.py").write_text(script)
    if latest:
        (step / "latest").write_text("global_step1")
    assert command_for(step) == command_for(step / "global_step1") == expected.format(step=step)


def test_megatrons_shards_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "iter_0000001" / "mp_rank_00").mkdir(parents=True)
    for source in (tmp_path, tmp_path / "iter_0000001"):
        with pytest.raises(CheckpointError, match="shards of Megatron"):
            resolve(str(source))


def test_shards_beside_complete_weights_do_not_matter(saved: Path, tmp_path: Path, own_cache: Path) -> None:
    step = Path(shutil.copytree(saved, tmp_path / "checkpoint-1"))
    (step / "global_step1").mkdir()
    (step / "global_step1" / "mp_rank_00_model_states.pt").touch()
    assert resolve(str(step)).weights == step

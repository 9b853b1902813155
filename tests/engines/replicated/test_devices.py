"""Each replica gets its own GPUs, or its share of the cores."""

from __future__ import annotations

import pytest

from harness.engines.replicated import devices
from harness.engines.replicated.devices import GPU_FACTORS, environments, own_gpu
from harness.engines.spec import EngineSpec
from harness.errors import InputError

TWO_EACH = {"tensor_parallel_size": 2}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores and the GPUs 2 to 5."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,4,5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "available_cores", lambda: 8)


def _of(count: int | str, loads_weights: bool = True, **spec: object) -> list[dict[str, str]]:
    return environments(count, EngineSpec(**spec), loads_weights=loads_weights)  # type: ignore[arg-type]


def _gpus(*names: str) -> list[dict[str, str]]:
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names]


def test_gpus_are_divided_among_replicas() -> None:
    assert _of("auto") == _of(4) == _gpus("2", "3", "4", "5")
    assert _of(2, device="cuda") == _gpus("2,3", "4,5")
    assert _of("auto", model_args=TWO_EACH) == _gpus("2,3", "4,5")
    assert _of(1) == _gpus("2,3,4,5")


@pytest.mark.parametrize("name", GPU_FACTORS)
def test_a_replica_takes_the_product_of_the_sizes(name: str) -> None:
    assert _of("auto", model_args={name: 2}) == _gpus("2,3", "4,5")
    assert _of("auto", model_args={name: 4}) == _gpus("2,3,4,5")
    assert _of("auto", model_args=TWO_EACH | {"pipeline_parallel_size": 2}) == _gpus("2,3,4,5")


@pytest.mark.parametrize("value", [0, -1, "two", 1.5, True])
def test_a_size_that_is_no_positive_number_gives_one_clear_error(value: object) -> None:
    with pytest.raises(InputError, match=f"--model_args data_parallel_size={value}: give a whole number of 1 or more"):
        _of("auto", model_args={"data_parallel_size": value})


def test_cores_are_divided_unless_the_user_sets_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _of("auto", device="cpu") == [{"OMP_NUM_THREADS": "8"}]
    assert _of(3, device="cpu") == [{"OMP_NUM_THREADS": "2"}] * 3
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert _of(3, device="cpu") == [{}] * 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert _of(2) == [{}] * 2


def test_services_and_scripts_need_no_devices() -> None:
    assert _of(16, loads_weights=False) == [{}] * 16
    assert _of("auto", loads_weights=False) == [{}]


@pytest.mark.parametrize(
    ("count", "spec", "message"),
    [
        (5, {}, "--replicas 5: needs 5 GPUs, and this machine has 4; give at most 4."),
        (3, {"model_args": TWO_EACH}, "--replicas 3: needs 6 GPUs, and this machine has 4; give at most 2."),
        (
            "auto", {"model_args": {"pipeline_parallel_size": 8}},
            "--replicas auto: needs 8 GPUs, and this machine has 4; give a smaller pipeline_parallel_size in "
            "--model_args.",
        ),
        (9, {"device": "cpu"}, "--replicas 9: this process may use 8 cores; give at most 8."),
        (2, {"device": "cuda:1"}, "--device cuda:1: each replica has its own device; give cuda."),
    ],
)  # fmt: skip
def test_too_many_replicas_give_one_clear_error(count: int | str, spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        _of(count, **spec)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_rank_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [own_gpu(rank) for rank in range(5)] == _gpus("2", "3", "4", "5", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")  # as Slurm sets it for each task
    assert own_gpu(3) == {}

"""The ranks of one command share its work; rank 0 writes the same record as a single process."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines.engine_pool import POOL
from harness.engines.replicated import ranks as ranks_module
from harness.engines.replicated.ranks import Rank, first_machine, this_rank
from harness.errors import InputError
from harness.records.run_folder import read_record
from tests.conftest import ROOT, HarnessCommand
from tests.engines.replicated.noting import NOTES, TOGETHER, install, noted
from tests.evaluation.contents import without_times
from tests.tasks_for_tests import write_long_tasks
from tests.waiting import CEILING_SECONDS, wait_until

TORCH = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node7", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_JOB_ID": "812", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[03-04]",
}  # fmt: skip
BATCH_SCRIPT = {name: value for name, value in SLURM.items() if "STEP" not in name} | {"SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, None),
        (TORCH, Rank(number=1, size=4, local=1, machine="node7", port=29500)),
        (TORCH | {"LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "2"},
         Rank(number=1, size=4, local=1, machine="node7", port=29500, attempt=2, store_exists=True, one_machine=True)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"WORLD_SIZE": "4"}, None),
        (SLURM, Rank(number=2, size=4, local=0, machine="gpu03", port=20812)),
        (SLURM | TORCH, Rank(number=1, size=4, local=1, machine="node7", port=29500)),
        (SLURM | {"MASTER_ADDR": "here", "MASTER_PORT": "5"}, Rank(number=2, size=4, local=0, machine="here", port=5)),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        (BATCH_SCRIPT, None),
    ],
)  # fmt: skip
def test_the_environment_says_which_rank_this_is(environment: dict[str, str], rank: Rank | None) -> None:
    assert this_rank(environment) == rank


@pytest.mark.parametrize("change", [{"RANK": "one"}, {"WORLD_SIZE": ""}, {"MASTER_PORT": "x"}])
def test_a_variable_that_is_not_a_number_gives_one_clear_error(change: dict[str, str]) -> None:
    with pytest.raises(InputError, match="is not a number"):
        this_rank(TORCH | change)


def test_ranks_without_an_address_give_one_clear_error() -> None:
    with pytest.raises(InputError, match="WORLD_SIZE=4: MASTER_ADDR is not set; start the ranks with torchrun"):
        this_rank({"RANK": "0", "WORLD_SIZE": "4"})


@pytest.mark.parametrize(
    ("machines", "first"),
    [
        ("node7", "node7"),
        ("a,b", "a"),
        ("gpu[03-05,9],login1", "gpu03"),
        ("n[7]-ib,n[8]-ib", "n7-ib"),
        ("a-b[1-2]", "a-b1"),
    ],
)
def test_the_first_machine_of_a_slurm_host_list(machines: str, first: str) -> None:
    assert first_machine(machines) == first


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        ("1", ["rescore", "runs/eval"]),
        ("1", ["compare", "runs/one", "runs/two"]),
        ("1", ["run", "study.yaml", "--output_path", "runs"]),
        ("0", ["run", "study.yaml", "--output_path", "runs"]),
    ],
)
@pytest.mark.parametrize(
    "names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")], ids=["torchrun", "srun"]
)
def test_a_command_that_ranks_cannot_share_is_refused(
    rank: str, words: list[str], names: tuple[str, str], harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip((*names, "SLURM_STEP_ID"), (rank, "2", "0"), strict=True):
        monkeypatch.setenv(name, value)
    done = harness_here(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"harness {words[0]}: rank {rank} of 2: only eval and train can share their work")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("rank", "size"), [("0", "2"), ("0", "1")])
def test_other_commands_run_in_rank_0(
    rank: str, size: str, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    assert harness_here("cache", "info").returncode == 0


class Store:
    """The store of torch.distributed, inside this process."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def set(self, name: str, value: str) -> None:
        self.values[name] = value.encode()

    def get(self, name: str) -> bytes:
        return self.values[name]


def test_a_silent_connection_keeps_no_rank_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(ranks_module, "_store", lambda rank: store)
    monkeypatch.setattr(ranks_module, "SECONDS_TO_SAY_HELLO", 3.0)
    rank = Rank(number=0, size=2, local=0, machine="127.0.0.1", port=1, one_machine=True)
    keeping = POOL.keeping
    team = ranks_module.Ranks(rank, ["eval"])
    [text] = store.values.values()
    with socket.create_connection(("127.0.0.1", int(text.split()[1]))) as silent:
        other = ranks_module._connect(replace(rank, number=1))
        other.send((1, ["eval"]))
        assert other.recv() is True
        replica = team.launch(1)
        assert replica is not None
        silent.settimeout(CEILING_SECONDS)
        with contextlib.suppress(ConnectionResetError):
            while silent.recv(1000):  # the key exchange begins, and after three seconds the connection is closed
                pass
    asked = threading.Thread(target=lambda: other.send((other.recv()[0], "answer")))
    asked.start()  # a rank that was let in may stay silent for longer
    assert list(replica.call("ok")) == [("ok", "answer")]
    asked.join()
    assert POOL.keeping == keeping + 1, "rank 0 keeps an engine open for the next model"
    team.close(0)
    assert POOL.keeping == keeping


class Ranks:
    """Ranks started by hand, as srun starts them; no request is answered before both are ready."""

    def __init__(self, folder: Path) -> None:
        install(folder / "site")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.notes = folder / "notes"
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.variables = {
            **os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), TOGETHER: "2",
            "HARNESS_CACHE_DIR": str(folder / "cache"), NOTES: str(self.notes),
            "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
        }  # fmt: skip

    def start(self, number: int, *words: object, **variables: str) -> subprocess.Popen[str]:
        """Start a rank."""
        by_torch = "MASTER_PORT" in self.variables
        self.processes[number] = subprocess.Popen(
            [sys.executable, "-m", "harness", *map(str, words)],
            cwd=ROOT, env={**self.variables, **({"RANK": str(number)} if by_torch else {}), **variables},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self.processes[number]

    def end(self, number: int) -> tuple[int, str]:
        """Return a rank's exit code and what it wrote to standard error."""
        _, err = self.processes[number].communicate(timeout=CEILING_SECONDS)
        return self.processes[number].returncode, err

    def asked(self) -> Counter[int]:
        """Return how many requests each process has answered."""
        return Counter(process for process, _ in noted(self.notes))


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[Ranks]:
    ranks = Ranks(tmp_path)
    yield ranks
    for process in ranks.processes.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """An evaluation of 600 requests, which takes three seconds in one process."""
    tasks = write_long_tasks(tmp_path_factory.mktemp("tasks"), items=150, words=100)
    script = ["eval", "--backend", "noting", "--model", "any", "--tasks", "t_choice", "--include_path", tasks]
    return [*script, "--model_args", "seconds=0.02", "--output_path"]


@pytest.fixture(scope="module")
def one_process(words: list[object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The record of the same command in one process."""
    folder = tmp_path_factory.mktemp("one")
    alone = Ranks(folder)
    alone.start(0, *words, folder / "out", WORLD_SIZE="1", TOGETHER="1")
    assert alone.end(0)[0] == 0
    return without_times(folder / "out" / "any")


def test_two_ranks_share_the_work_and_write_the_record_of_one_process(
    ranks: Ranks, words: list[object], one_process: dict[str, str], tmp_path: Path
) -> None:
    ranks.start(0, *words, tmp_path / "out")
    ranks.start(1, *words, tmp_path / "elsewhere")
    code, err = ranks.end(1)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "rank 1: its command line differs from that of rank 0" in err
    ranks.start(1, *words, tmp_path / "out")
    assert [ranks.end(number) for number in range(2)] == [(0, ""), (0, "")]
    assert ranks.asked().keys() == {process.pid for process in ranks.processes.values()}, "both have answered"
    assert ranks.asked().total() == 600
    assert without_times(tmp_path / "out" / "any") == one_process


def test_rank_0_takes_over_the_work_of_a_killed_rank(
    ranks: Ranks, words: list[object], one_process: dict[str, str], tmp_path: Path
) -> None:
    for number in range(2):
        ranks.start(number, *words, tmp_path / "out")
    other = ranks.processes[1]
    wait_until(lambda: other.pid in ranks.asked(), "rank 1 has answered", process=ranks.processes[0])
    other.kill()
    code, err = ranks.end(0)
    assert code == 0, err
    assert "replica 1 died (rank 1 has ended); its requests are sent again" in err
    repeated = Counter(context for process, context in noted(ranks.notes) if process != other.pid)
    assert max(repeated.values()) == 4, "each of the four choices of an item once"
    assert without_times(tmp_path / "out" / "any") == one_process


def test_a_rank_ends_when_rank_0_is_killed_and_the_same_command_resumes(
    ranks: Ranks, words: list[object], one_process: dict[str, str], tmp_path: Path
) -> None:
    for number in range(2):
        ranks.start(number, *words, tmp_path / "out")
    wait_until(lambda: len(ranks.asked()) == 2, "both have answered", process=ranks.processes[0])
    ranks.processes[0].kill()
    assert ranks.end(1)[0] == 1
    before = ranks.asked().total()
    ranks.processes[0].communicate()
    ranks.start(0, *words, tmp_path / "out", WORLD_SIZE="1")
    assert ranks.end(0)[0] == 0
    assert 0 < read_record(tmp_path / "out" / "any").from_journal <= before
    assert without_times(tmp_path / "out" / "any") == one_process


def test_an_error_of_the_user_ends_all_ranks(ranks: Ranks, words: list[object], tmp_path: Path) -> None:
    for number in range(2):
        ranks.start(number, *words, tmp_path / "out", "--tasks", "t_chioce")
    (code, err), last = ranks.end(0), ranks.end(1)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert last == (2, "")


def test_replicas_cannot_be_combined_with_ranks(ranks: Ranks, words: list[object], tmp_path: Path) -> None:
    ranks.start(1, *words, tmp_path / "out", "--replicas", 2)
    code, err = ranks.end(1)
    assert code == 2
    assert "--replicas 2: the 2 ranks are the replicas already; remove --replicas" in err


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2"]


@pytest.mark.parametrize("starter", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_a_starter_gives_the_record_of_one_process(
    starter: list[str], ranks: Ranks, words: list[object], one_process: dict[str, str], tmp_path: Path
) -> None:
    port = ["--main_process_port", ranks.variables["MASTER_PORT"]] if starter is ACCELERATE else []
    command = [sys.executable, "-m", *starter, *port, "-m", "harness", *map(str, words), str(tmp_path / "out")]
    done = subprocess.run(
        command, cwd=ROOT, env=ranks.variables, capture_output=True, text=True, check=False, timeout=CEILING_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("leaderboard  any") == 1
    assert len(ranks.asked()) == 2
    assert without_times(tmp_path / "out" / "any") == one_process


def test_tasks_of_a_slurm_step_give_the_record_of_one_process(
    ranks: Ranks, words: list[object], one_process: dict[str, str], tmp_path: Path
) -> None:
    """With the variables that srun sets, and no others: the port follows from the number of the job."""
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        del ranks.variables[name]
    ranks.variables |= SLURM | {
        "SLURM_JOB_ID": str(_free_job()), "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_NODELIST": "127.0.0.1",
    }  # fmt: skip
    for number in range(2):
        ranks.start(number, *words, tmp_path / "out", SLURM_PROCID=str(number), SLURM_LOCALID=str(number))
    assert [ranks.end(number) for number in range(2)] == [(0, ""), (0, "")]
    assert ranks.asked().keys() == {process.pid for process in ranks.processes.values()}, "both have answered"
    assert without_times(tmp_path / "out" / "any") == one_process


def _free_job() -> int:
    """Return a job number whose port nobody uses."""
    for job in range(os.getpid() % 10_000, 20_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 20_000 + job)):
            return job
    raise AssertionError("no port is free")

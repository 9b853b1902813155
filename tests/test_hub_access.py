"""Without a network, work with the hub fails at once with one line, and uses what the cache holds."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from harness import hub_access
from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError
from harness.hub_access import SECONDS_TO_CONNECT, cache_only_without_hub, why_no_hub
from tests.conftest import HarnessCommand

NOBODY = "http://127.0.0.1:9"  # the port of "discard", on which nothing listens
TASK = """
task: t_hub
dataset_path: own/animals
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: exact_match}]
"""


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that nobody serves; no proxy leads to it."""
    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_HUB_OFFLINE", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    hub_access.forget_findings()
    yield
    hub_access.forget_findings()


@pytest.fixture
def hub_task(tmp_path: Path) -> Path:
    """A folder with a task whose data set is on the hub."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "hub.yaml").write_text(TASK, encoding="utf-8")
    return tmp_path / "tasks"


def test_a_task_of_the_hub_is_one_line_within_seconds(hub_task: Path, harness_here: HarnessCommand) -> None:
    harness_here("tasks", "show", "t_hub", "--include_path", hub_task)  # imports the libraries
    start = time.monotonic()
    done = harness_here(
        "eval", "--backend", "scripted", "--model", "uniform", "--tasks", "t_hub", "--include_path", hub_task
    )
    assert time.monotonic() - start < 5 + SECONDS_TO_CONNECT
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr == (
        "harness eval: task t_hub: its data set own/animals is not on this machine, and 127.0.0.1 cannot be reached "
        "(Connection refused); connect to the network, or set HF_DATASETS_CACHE to a cache that holds it. Tasks of "
        "`harness tasks list` can read HARNESS_DATA instead.\n"
    )


def test_nothing_is_asked_where_the_hub_is_turned_off(
    hub_task: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(hub_access, "create_connection", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = harness_here("tasks", "show", "t_hub", "--include_path", hub_task)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "own/animals is not on this machine, and HF_HUB_OFFLINE is set; connect" in done.stderr
    with pytest.raises(CheckpointError, match=r"neither a local path nor available from the hub \(HF_HUB_OFFLINE is"):
        resolve("own/model")


def test_a_model_of_the_hub_fails_at_once_and_a_cached_one_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=r"available from the hub \(127.0.0.1 cannot be reached \(Connection"):
        resolve("own/model")
    assert time.monotonic() - start < SECONDS_TO_CONNECT
    revision = "0123456789" * 4
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--own--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision)
    (folder / "snapshots" / revision).mkdir(parents=True)
    (folder / "snapshots" / revision / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=f"snapshots/{revision}/config.json: neither"):
        resolve("own/model")


def test_an_address_that_never_answers_takes_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://192.0.2.1")  # of RFC 5737: nobody has it
    monkeypatch.setattr(hub_access, "SECONDS_TO_CONNECT", 1.0)
    start = time.monotonic()
    assert why_no_hub().startswith("192.0.2.1 cannot be reached (")
    assert time.monotonic() - start < 3
    start = time.monotonic()
    assert why_no_hub()
    assert time.monotonic() - start < 0.5, "remembered"


def test_a_hub_that_answers_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with cache_only_without_hub() as reason:
            assert reason == ""
            assert not constants.HF_HUB_OFFLINE
        monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
        with cache_only_without_hub() as reason:
            assert reason
            assert constants.HF_HUB_OFFLINE
        assert not constants.HF_HUB_OFFLINE
        monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
        monkeypatch.setenv("http_proxy", f"http://ann:secret@127.0.0.1:{server.getsockname()[1]}")
        assert why_no_hub() == "", "the proxy answers in its place"
        monkeypatch.setenv("no_proxy", "hub.invalid")
        assert why_no_hub().startswith("hub.invalid cannot be reached (")

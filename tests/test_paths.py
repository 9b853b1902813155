"""The cache folder belongs to one user; a read-only one may belong to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.paths import cache_dir
from tests.conftest import HarnessCommand
from tests.models import save_tiny_gguf, save_tiny_llama
from tests.tasks_for_tests import eval_words, write_tasks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "a" / "cache"))
    return tmp_path / "a" / "cache"


def test_it_is_created_for_this_user_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert cache_dir() == folder
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_dir() == folder


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(InputError, match=rf"{folder}: other users can write to it \(mode {mode:o}\); run `chmod go-w"):
        cache_dir()
    folder.chmod(0o755)
    assert cache_dir() == folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_or_of_a_shared_group_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chown(folder, 65534, 65534)
    with pytest.raises(InputError, match="belongs to another user"):
        cache_dir()
    os.chown(folder, 0, 65534)
    folder.chmod(0o775)
    with pytest.raises(InputError, match="other users can write to it"):
        cache_dir()


def test_a_command_says_so_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli import main

    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert main(["cache", "info"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_read_only_cache_may_belong_to_others_and_is_never_written(
    folder: Path, tmp_path: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(folder))
    tasks = write_tasks(tmp_path / "tasks", items=8)
    first = harness_here(*eval_words(tasks, tmp_path / "first", "--limit", 4))
    assert first.returncode == 0, first.stderr
    folder.chmod(0o777)
    assert harness_here("cache", "info").returncode == 2
    monkeypatch.setenv("HARNESS_CACHE_READ_ONLY", "1")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    second = harness_here(*eval_words(tasks, tmp_path / "second"))
    assert second.returncode == 0, second.stderr
    assert "20 answers from the journal" in second.stdout
    assert "(read-only)" in harness_here("cache", "info").stdout
    model = save_tiny_gguf(tmp_path / "model.gguf", save_tiny_llama(tmp_path / "model"))
    for words in (["cache", "clear", "journal"], [*eval_words(tasks, tmp_path / "third"), "--backend", "hf"]):
        refused = harness_here(*(str(model) if word == "uniform" else word for word in words))
        assert refused.returncode == 2
        assert "HARNESS_CACHE_READ_ONLY is set" in refused.stderr
    locks = ("-shm", "-wal")  # SQLite's own; they are empty or hold no answers
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.endswith(locks)}
    assert after == before

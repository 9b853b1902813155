"""Write a run's files, all or nothing: samples as they are scored, the results file last.

They are written to a temporary folder and renamed when all are there, so a run that is killed leaves no half record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from harness.errors import HarnessError, InputError
from harness.processes import has_ended
from harness.records.run_folder import RunRecord, json_line, place_of, to_json

STALE_SECONDS = 3 * 24 * 3600.0  # another host may score one task for hours without writing


class RunFiles:
    """The files of one run while they are written; a context manager.

    Args:
        output: The folder for the folders of all models, or the results file (see `place_of`).
        name: The model's name.
        digest: Digest of its weights.

    Raises:
        InputError: a folder cannot be created.
    """

    def __init__(self, output: Path, name: str, digest: str) -> None:
        self._model = (output, name, digest)
        folder = place_of(*self._model).folder
        self._made = not folder.exists()
        try:
            self._work = _work_folder(folder)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror}); give another --output_path.") from error
        self._tasks: dict[str, None] = {}  # with samples, in order
        self._open: tuple[str, TextIO] | None = None

    def add_samples(self, task: str, samples: Iterable[Mapping[str, Any]]) -> None:
        """Write samples of a task, after those that were written before. Raises: HarnessError: the disk is full."""
        with self._explained():
            if self._open is None or self._open[0] != task:
                self._close_last()
                self._open = task, (self._work / f"samples_{task}").open("a", encoding="utf-8")
                self._tasks[task] = None
            self._open[1].writelines(map(json_line, samples))
            os.utime(self._work)  # a sign of life for other hosts

    def finish(self, record: RunRecord, results: Mapping[str, Any]) -> Path:
        """Write the record and lm-eval's results, and give all files their names.

        Returns:
            The results file.

        Raises:
            HarnessError: the disk is full, or the files cannot be written for another reason.
        """
        with self._explained():
            self._close_last()
            # Since this began, another checkpoint of the same name may have taken the folder.
            place = place_of(*self._model)
            names = {f"samples_{task}": f"samples_{task}_{record.time}.jsonl" for task in self._tasks}
            names |= {"run": f"run_{record.time}.json", "results": f"{place.stem}_{record.time}.json"}
            texts = {"run": record.model_dump_json(indent=2, by_alias=True), "results": to_json(results, indent=2)}
            for draft, text in texts.items():
                with (self._work / draft).open("w", encoding="utf-8") as file:
                    file.write(text + "\n")
                    _close_durably(file)
            place.folder.mkdir(parents=True, exist_ok=True)
            for draft, name in names.items():
                (self._work / draft).rename(place.folder / name)
            _point_to_latest(place.folder, names["run"])
        return place.folder / names["results"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._open is not None:
            with contextlib.suppress(OSError):  # a full disk: what is still to be written is removed below
                self._open[1].close()
        shutil.rmtree(self._work, ignore_errors=True)
        if self._made:
            with contextlib.suppress(OSError):  # a run is in it
                self._work.parent.rmdir()

    def _close_last(self) -> None:
        if self._open is not None:
            _close_durably(self._open[1])
            self._open = None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HarnessError(
                f"{self._work.parent}: the record cannot be written ({error.strerror}). Free disk space and "
                "run the same command again; answers in the journal are reused."
            ) from error


def _work_folder(folder: Path) -> Path:
    for _ in range(3):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        with contextlib.suppress(FileNotFoundError):  # a run that ended early has just removed its empty folder
            return Path(tempfile.mkdtemp(prefix=_own_prefix(), dir=folder))
    raise FileNotFoundError(errno.ENOENT, "removed again and again", str(folder))


def _own_prefix() -> str:
    return f".writing-{socket.gethostname()}-{os.getpid()}-"


def _remove_stale(folder: Path) -> None:
    """Remove temporary folders of runs that were killed while writing; keep those of running processes."""
    for work in folder.glob(".writing-*"):
        host, _, pid = work.name.removeprefix(".writing-").rpartition("-")[0].rpartition("-")
        with contextlib.suppress(OSError):  # its writer may just have finished
            here = host == socket.gethostname() and pid.isdigit() and Path("/proc/self").exists()
            over = has_ended(pid) if here else time.time() - work.lstat().st_mtime > STALE_SECONDS
            if over:
                shutil.rmtree(work, ignore_errors=True)


def _close_durably(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _point_to_latest(folder: Path, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix=_own_prefix(), dir=folder) as work:
        link = Path(work) / "run.json"
        link.symlink_to(name)
        link.replace(folder / "run.json")

"""Writing the files of an export, all or none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HarnessError
from harness.export.registry import ExportFile
from harness.records.run_folder import claim, unclaim


def write_files(files: Iterable[ExportFile], output: Path) -> list[Path]:
    """Write an export below `output`: all files under temporary names first, so that an error leaves nothing behind.

    Returns:
        The files, in the order of `files`. Files of an earlier export with the same names are replaced.

    Raises:
        InputError: The folder cannot be written.
        HarnessError: The disk is full, or a file cannot be written for another reason; also whatever `files` raises.
    """
    created = claim(output)
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=output) as work:
            paths = [_write(file, Path(work)) for file in files]
            targets = [output / path for path in paths]
            for path, target in zip(paths, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                (Path(work) / path).replace(target)
            return targets
    except OSError as error:
        place = error.filename or output
        raise HarnessError(
            f"--output_path {output}: {place} cannot be written ({error.strerror}); free disk space or give another "
            "folder, and run the same command again."
        ) from error
    finally:
        unclaim(created)


def _write(file: ExportFile, folder: Path) -> Path:
    assert not file.path.is_absolute()
    assert ".." not in file.path.parts
    target = folder / file.path
    assert not target.exists(), f"{file.path} occurs twice"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as opened:
        opened.writelines(file.content)
    return Path(file.path)

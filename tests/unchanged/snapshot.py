"""Collect what the runs left, as one JSON: ``python -m tests.unchanged.snapshot DIR`` writes ``DIR/snapshot.json``.

The snapshot is the raw content but for the times in file names; `compare` takes it afresh from both folders, so that a
change of `normalise.yaml` counts for runs that were made before it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.unchanged.normalise import Normaliser
from tests.unchanged.pages import read_page

Snapshot = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?")
FLAG = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
CHOICES = re.compile(r"\{[\w,:.-]+\}")


def take(folder: Path) -> Snapshot:
    """Return all that `make` left in `folder`, by name of the file or the command, without what differs by run."""
    made = json.loads((folder / "commands.json").read_text(encoding="utf-8"))
    normaliser = Normaliser.read(root=made["root"])
    raw: Snapshot = {f"commands/{name}": _command(name, one) for name, one in made["commands"].items()}
    raw["journal"] = _journal(folder / "cache" / "journal.sqlite")
    names = _numbered(folder / "out")
    for path, name in names.items():
        read = _reader(path)
        if read is not None:
            raw[f"files/{name}"] = read(path)
    raw["files"] = sorted(names.values())
    return {name: normaliser.apply(name, value) for name, value in raw.items()}


def _command(name: str, one: dict[str, Any]) -> dict[str, Any]:
    out: Any = one["out"]
    if name.startswith("help"):
        out = {"flags": sorted(set(FLAG.findall(out))), "choices": sorted(set(CHOICES.findall(out)))}
    elif "json" in one["words"] and out.strip():
        out = json.loads(out)
    return {**one, "out": out}


def _journal(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        answers = database.execute(
            "SELECT hex(key), hex(answerer), logprob, is_greedy, text, tokens, cut_tokens FROM answers ORDER BY key"
        )
        answerers = database.execute("SELECT hex(answerer), description FROM answerers ORDER BY answerer")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        return {
            "answers": {key: list(values) for key, *values in answers},
            "answerers": {key: json.loads(description) for key, description in answerers},
            "version": version,
        }


def _numbered(folder: Path) -> dict[Path, str]:
    """Name files without their times: the first run of a folder is 1, whatever the clock said."""
    names: dict[Path, str] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        time = TIME.search(path.name)
        name = str(path.relative_to(folder))
        if time:
            times = sorted({m.group() for p in path.parent.iterdir() if (m := TIME.search(p.name))})
            name = name.replace(time.group(), f"RUN{times.index(time.group()) + 1}")
        names[path] = name
    return names


def _reader(path: Path) -> Callable[[Path], Any] | None:
    """Return what reads the file; None for one of which only the name is kept."""
    if path.is_symlink():
        return lambda p: TIME.sub("TIME", str(p.readlink()))
    if path.name in ("tokenizer.json",) or path.suffix == ".safetensors":
        return lambda p: hashlib.sha256(p.read_bytes()).hexdigest()
    return READERS.get(path.suffix)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(_text(path)),
    ".jsonl": lambda path: [json.loads(line) for line in _text(path).splitlines()],
    ".csv": lambda path: list(csv.DictReader(io.StringIO(_text(path)))),
    ".html": lambda path: read_page(_text(path)),
    ".md": lambda path: {"text": _text(path)},
    ".tex": lambda path: {"text": _text(path)},
    ".txt": lambda path: {"text": _text(path)},
    ".jinja": lambda path: {"template": _text(path)},
}


def main() -> None:
    """Write the snapshot of a folder that `make` wrote."""
    parser = argparse.ArgumentParser(prog="python -m tests.unchanged.snapshot", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder: Path = parser.parse_args().folder
    text = json.dumps(take(folder), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "snapshot.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

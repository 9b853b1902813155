"""Kills at random moments change nothing about the end: the same checkpoints, records and report, each made once."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.killing import killed_often
from tests.study.conftest import Study
from tests.study.package import KILLS, LOG

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(\.\d+)?(\+00:00)?")
CLOCK = re.compile(
    r'"(date|total_evaluation_time_seconds|seconds|from_journal|finished|pid|since)": ("[^"]*"|[\d.]+|null)'
)


def _contents(out: Path) -> dict[str, str | bytes]:
    """Every file of a study by path, with what a clock decides taken out, and without logs, locks and progress."""
    contents: dict[str, str | bytes] = {}
    for path in sorted(out.rglob("*")):
        if path.is_dir() or path.name in ("lock", "log", "progress", "training_args.bin"):
            continue
        name = TIME.sub("TIME", str(path.relative_to(out)))
        if path.suffix == ".safetensors":
            contents[name] = path.read_bytes()
            continue
        text = CLOCK.sub(r'"\1": X', TIME.sub("TIME", path.read_text()).replace(str(out), "OUT"))
        text = re.sub(r'"(command|engine)": (null|"[^"]*"|\{[^}]*\})', r'"\1": X', text)  # evaluations that came along
        contents[name] = re.sub(r" at 0x[0-9a-f]+>", " at ADDRESS>", text)
    return contents


def _check_events(log: Path) -> None:
    events = [json.loads(line) for line in log.read_text().splitlines()]
    for event in events:
        assert not event.get("done"), f"{event['name']}: began although it was done"
        assert not event.get("alive"), f"{event['name']}: began while it ran"
    trained = [event["name"] for event in events if event["event"] == "trained"]
    assert len(set(trained)) == len(trained), "a stage was trained twice"


def _survives(kills: int, study: Study, site: Path, monkeypatch: pytest.MonkeyPatch, *, nodes: bool) -> list[int]:
    """Return how the runs ended that were killed; `nodes` also kills commands, each at most once."""
    whole, killed, log = study.folder / "whole", study.folder / "killed", study.folder / "events.jsonl"
    words = ["run", study.path, "--executor", "fork", "--output_path"]
    common = {"module": "tests.study.kill_study", "first": [site]}
    codes = killed_often([*words, whole], kills=0, longest=0, cache=study.folder / "cache-whole", **common)  # type: ignore[arg-type]
    assert codes == [0]
    monkeypatch.setenv(LOG, str(log))
    if nodes:
        monkeypatch.setenv(KILLS, "3")
    longest = 6.0
    codes = killed_often([*words, killed], kills=kills, longest=longest, cache=study.folder / "cache", **common)  # type: ignore[arg-type]
    assert codes[-1] == 0, (study.folder / "cache.out").read_text()
    _check_events(log)
    assert _contents(killed) == _contents(whole)
    return codes


def test_a_study_killed_six_times_ends_as_one_that_was_not(
    study: Study, site: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.fields["factors"] = {"pretrain": {"N": 0, "C": 1}, "tune": {"N": 0, "C": 1}, "seed": [0]}
    study.write()
    codes = _survives(6, study, site, monkeypatch, nodes=True)
    assert codes.count(-signal.SIGKILL) >= 3, "the kills must fall within the runs"


@pytest.mark.slow  # reduced twin: the test above
def test_a_study_killed_twenty_times_ends_as_one_that_was_not(
    study: Study, site: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = _survives(20, study, site, monkeypatch, nodes=True)
    assert codes.count(-signal.SIGKILL) >= 5

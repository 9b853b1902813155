"""No attack passes or reaches outside, each ends in time, and the pool works after each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.sandbox import Limits, Program, run_programs
from harness.sandbox.calibration import slowdown
from tests.sandbox.corpus import ATTACKS, Case

LIMITS = Limits(cpu_seconds=1, wall_seconds=2, memory_mb=256, file_mb=4, processes=8, output_kb=64)
# For attacks that must end before their time is up: on a busy machine even a quick one may take seconds.
PATIENT = replace(LIMITS, wall_seconds=60)
# From the end of the time to the verdict: everything in the sandbox is found and ended first.
SECONDS_TO_CLEAN_UP = 10
GOOD = Program("def double(n):\n    return 2 * n\n", "assert double(2) == 4\nassert double(0.5) == 1.0\n")


class Canary:
    """Targets outside the sandbox: a file with a secret, a listening TCP port, a listening abstract socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "secret").write_text("REACHED")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.abstract = f"harness-canary-{self.port}"
        self.unix.bind("\0" + self.abstract)
        self.unix.listen()
        for listener in (self.tcp, self.unix):
            listener.setblocking(False)

    @property
    def port(self) -> int:
        port: int = self.tcp.getsockname()[1]
        return port

    def program(self, attack: Case) -> Program:
        solution = attack.solution.replace("@CANARY@", str(self.folder)).replace("@PORT@", str(self.port))
        return Program(solution.replace("@ABSTRACT@", self.abstract), attack.tests)

    def untouched(self) -> bool:
        for listener in (self.tcp, self.unix):
            with pytest.raises(BlockingIOError):
                listener.accept()
        return [(f.name, f.read_text()) for f in self.folder.iterdir()] == [("secret", "REACHED")]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    canary = Canary(tmp_path)
    yield canary
    canary.tcp.close()
    canary.unix.close()


def test_the_corpus_holds_at_least_100_different_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 100


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.group}: {attack.name}")
def test_attack_does_not_pass_or_reach_outside_or_harm_the_next_program(
    attack: Case, canary: Canary, bubblewrap: str
) -> None:
    limits = LIMITS if "timeout" in attack.ends else PATIENT
    verdict, after = run_programs([canary.program(attack), GOOD], limits=limits, workers=1, backend=bubblewrap)
    assert verdict.status != "passed", verdict
    assert verdict.status in attack.ends, verdict
    assert "REACHED" not in verdict.detail
    assert verdict.wall_seconds < limits.wall_seconds * slowdown() + SECONDS_TO_CLEAN_UP
    assert canary.untouched()
    assert after.status == "passed", after


def test_good_programs_pass_among_all_attacks_at_once(canary: Canary, bubblewrap: str) -> None:
    quick = [attack for attack in ATTACKS if "timeout" not in attack.ends or not attack.end]
    programs = [program for attack in quick for program in (canary.program(attack), GOOD)]
    verdicts = run_programs(programs, limits=LIMITS, workers=3, backend=bubblewrap)
    assert {verdict.status for verdict in verdicts[1::2]} == {"passed"}
    assert "passed" not in {verdict.status for verdict in verdicts[::2]}
    assert canary.untouched()

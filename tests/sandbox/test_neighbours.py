"""A verdict does not depend on the programs that ran before or run beside it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from harness.sandbox import Limits, Program, Verdict, run_programs
from tests.sandbox.corpus import ATTACKS, RIGHT, WRONG, Case
from tests.sandbox.honest import honest
from tests.sandbox.test_attacks import LIMITS, PATIENT

NEIGHBOURS = [attack for attack in ATTACKS if attack.group == "neighbours"]
KINDS = 8
# Memory for four threads, wall time for a busy machine.
HONEST_LIMITS = Limits(cpu_seconds=5, wall_seconds=60)


def program(case: Case) -> Program:
    return Program(case.solution, case.tests)


def statuses(verdicts: list[Verdict]) -> set[str]:
    return {f"{verdict.status}: {verdict.detail}" for verdict in verdicts}


def attack_and_then(attack: Case, count: int, workers: int) -> None:
    """Run an attack, `count` honest programs in its batch and as many in the next, all in one pool."""
    wall = LIMITS.wall_seconds if "timeout" in attack.ends else PATIENT.wall_seconds
    limits = replace(LIMITS, wall_seconds=wall, memory_mb=1024, processes=16, output_kb=1024)
    for programs in ([program(attack), *honest(count)], honest(count)):
        verdicts = run_programs(programs, limits=limits, workers=workers, backend="bubblewrap")
        assert statuses(verdicts[-count:]) == {"passed: "}


@pytest.mark.usefixtures("bubblewrap")
@pytest.mark.parametrize("attack", NEIGHBOURS, ids=lambda attack: attack.name)
def test_programs_of_every_kind_pass_after_an_attack_on_its_neighbours(attack: Case) -> None:
    attack_and_then(attack, KINDS, workers=1)


@pytest.mark.slow  # reduced twins: the test above, and test_attacks.py, where one program follows each attack
@pytest.mark.usefixtures("bubblewrap")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.group}: {attack.name}")
def test_fifty_programs_pass_after_every_attack(attack: Case) -> None:
    attack_and_then(attack, 50, workers=2)


@pytest.mark.usefixtures("bubblewrap")
def test_verdicts_do_not_depend_on_the_order_of_the_batch() -> None:
    wrong = [case for case in WRONG if not case.end.startswith(("timeout", "killed"))]
    cases = [program(case) for case in (*NEIGHBOURS, *RIGHT, *wrong)] + honest(3 * KINDS)
    seen = []
    for seed in range(5):
        order = list(range(len(cases)))
        random.Random(seed).shuffle(order)
        verdicts = run_programs([cases[i] for i in order], limits=HONEST_LIMITS, workers=2, backend="bubblewrap")
        seen.append(
            [verdict.status for _, verdict in sorted(zip(order, verdicts, strict=True), key=lambda pair: pair[0])]
        )
    assert seen[1:] == seen[:1] * 4

"""Main factors of several levels: their effects as families, and the interaction, from contrasts and from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.reports.analysis.contrasts import design_contrasts
from tests.reports.conftest import Command
from tests.reports.small_designs import rows_of
from tests.reports.study_records import RunTask, write_design, write_study_run

SHARES, TUNES, SIZES = ["0", "10", "25", "50"], ["N", "C"], ["125m", "350m"]


def mean_of(share: str, tune: str, size: str) -> float:
    """A unit of share adds 0.002, tuning 0.05, and a unit of share with tuning 0.001 more; the large size 0.1."""
    with_code = float(tune == "C")
    return 0.2 + 0.002 * int(share) + (0.05 + 0.001 * int(share)) * with_code + 0.1 * (size == "350m")


def estimates(factors: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, float]]:
    """Family and true value of each contrast."""
    cells = {(share, tune, size) for share in SHARES for tune in TUNES for size in SIZES}
    return {
        one.name: (one.kind, sum(c * mean_of(*cell) for cell, c in one.coefficients.items()))
        for one in design_contrasts(factors, cells, [])
    }


def test_a_numeric_main_factor_has_levels_a_slope_and_an_interaction_of_the_slope() -> None:
    found = estimates({"share": SHARES, "tune": TUNES, "size": SIZES})
    expected = {
        "share: 10-0": ("primary", 0.025),
        "share: 25-0": ("primary", 0.0625),
        "share: 50-0": ("primary", 0.125),
        "share: slope": ("primary", 0.0025),
        "tune": ("primary", 0.05 + 0.001 * 85 / 4),
        "interaction: share slope x tune": ("primary", 0.001),
        "size: 350m-125m": ("exploratory", 0.1),
    }
    assert list(found) == list(expected)
    for name, (kind, value) in expected.items():
        assert found[name][0] == kind
        assert found[name][1] == pytest.approx(value)


def test_a_main_factor_of_words_interacts_level_by_level() -> None:
    factors = {"schedule": ["uniform", "early", "late"], "tune": TUNES}
    gains: dict[tuple[str, ...], float] = {("early", "N"): 0.1, ("early", "C"): 0.4, ("late", "C"): 0.2}
    specs = design_contrasts(factors, {(s, t) for s in factors["schedule"] for t in TUNES}, [])
    values = {one.name: sum(c * gains.get(cell, 0.0) for cell, c in one.coefficients.items()) for one in specs}
    expected = {
        "schedule: early-uniform": 0.25,
        "schedule: late-uniform": 0.1,
        "tune": 0.5 / 3,
        "interaction: schedule early-uniform x tune": 0.3,
        "interaction: schedule late-uniform x tune": 0.2,
    }
    assert values == pytest.approx(expected)
    assert [one.factor for one in specs] == ["schedule"] * 2 + [""] + ["interaction: schedule x tune"] * 2


def test_what_an_incomplete_design_cannot_test_is_noted() -> None:
    notes: list[str] = []
    cells = {("0", "N"), ("0", "C"), ("10", "N"), ("25", "N")}
    names = [one.name for one in design_contrasts({"share": SHARES[:3], "tune": TUNES}, cells, notes)]
    assert names == ["share: 10-0", "share: 25-0", "share: slope", "tune"]
    assert len(notes) == 1
    assert "interaction: share slope x tune: not tested" in notes[0]


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of share, tuning and size, each share and size pre-trained three times; returns the design file."""
    folder = tmp_path_factory.mktemp("shares")
    rng, runs = np.random.default_rng(5), []
    difficulty = rng.uniform(-0.15, 0.15, 40)
    for size in SIZES:
        for share in SHARES:
            for seed in range(3):
                luck = rng.normal(0.0, 0.02)
                for tune in TUNES:
                    name = f"{size}-{share}-{tune}-{seed}"
                    values = mean_of(share, tune, size) + luck + difficulty + rng.normal(0.0, 0.03, 40)
                    write_study_run(folder / "runs", name, {"first": RunTask(values=values.clip(0, 1), chance=0.0)})
                    runs.append({"run": f"runs/{name}", "share": share, "tune": tune, "size": size,
                                 "parent": f"{size}-{share}-{seed}", "seed": seed})  # fmt: skip
    return write_design(folder / "design.yaml", {"share": SHARES, "tune": TUNES, "size": SIZES}, runs)


def holm_over(tests: Mapping[str, float]) -> dict[str, float]:
    """Holm's corrected p by hand: the smallest times their number, the next times one less, and so on."""
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(tests, key=lambda one: tests[one])):
        largest = max(largest, min(1.0, tests[name] * (len(tests) - rank)))
        corrected[name] = largest
    return corrected


def test_the_primary_family_holds_all_levels_the_slope_and_the_interaction(command: Command, shares: Path) -> None:
    rows = rows_of(command, "--design", shares)
    primary = {name: row for (task, name), row in rows.items() if row["family"] == "primary" and task == "overall"}
    levels = ["share: 10-0", "share: 25-0", "share: 50-0"]
    single = ["share: slope", "tune", "interaction: share slope x tune"]
    assert sorted(primary) == sorted([*levels, *single])
    for name, row in primary.items():
        true = {"share: slope": 0.0025, "tune": 0.07125, "interaction: share slope x tune": 0.001}.get(name)
        true = 0.0025 * int(name[7:9]) if true is None else true
        assert row["low"] < true < row["high"], name
        assert row["covers"] == "items, runs"
    assert [primary[name]["p_dunnett"] > primary[name]["p"] for name in levels] == [True] * 3
    # Four sets: the levels, with Dunnett's p, and three single tests.
    largest = max(primary[name]["p_dunnett"] for name in levels)
    expected = holm_over({"levels": largest} | {name: primary[name]["p"] for name in single})
    assert {name: primary[name]["p_corrected"] for name in single} == {
        name: pytest.approx(expected[name]) for name in single
    }
    assert max(primary[name]["p_corrected"] for name in levels) == pytest.approx(expected["levels"])
    assert {row["family"] for (_, name), row in rows.items() if name.startswith("size")} == {"exploratory"}
    words = " ".join(command("compare", "--design", shares)[1].split())
    assert (
        "Main factors: share and tune. The primary family is, by Holm: share (comparisons of levels, by Dunnett: 3); "
        "share: slope; tune; interaction: share slope x tune." in words
    )


def test_a_design_can_name_its_main_factors(command: Command, shares: Path) -> None:
    content = yaml.safe_load(shares.read_text()) | {"main": ["tune", "size"]}
    other = shares.with_name("named.yaml")
    other.write_text(yaml.safe_dump(content))
    rows = rows_of(command, "--design", other)
    # Size never differs within a pre-training run, so it comes first: a 2 x 2 of size and tune.
    assert {name for (_, name), row in rows.items() if row["family"] == "primary"} == {"size", "tune", "interaction"}
    assert ("overall", "CC-NC") in rows
    assert rows["overall", "share: slope"]["family"] == "exploratory"


@pytest.mark.parametrize("main", [["share"], ["share", "share"], ["share", "tun"], "share", [["share"], "tune"]])
def test_main_factors_that_are_not_two_of_the_factors_are_refused(main: object, command: Command, shares: Path) -> None:
    other = shares.with_name("wrong.yaml")
    other.write_text(yaml.safe_dump(yaml.safe_load(shares.read_text()) | {"main": main}, sort_keys=False))
    code, out, err = command("compare", "--design", other)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "give two different factors of share, tune, size" in err

"""Measure the error rates of the statistics on simulated data with a known truth.

Writes one row per setting to ``results/calibration.jsonl``, and the tables between the markers in
``docs/statistics.md``. The same seed gives the same numbers. A full run takes a quarter of an hour on one core, and
another for factorial studies, which `calibration_factorial.py` simulates:

    python -m benchmarks.calibration [--scale 0.1] [--workers 2] [--only paired] [--seed 1] [--no_docs]

A setting that misses its target is simulated again, with five times as many data sets and new random numbers, and the
second result is kept, because some of 350 settings would miss by chance. If no test could meet the target, the row
says why.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.calibration_runs import STUDIES
from harness.stats import compare_arms, compare_paired, holm, interval, non_inferiority, rank_models

ROOT = Path(__file__).resolve().parent
ITEMS = (22, 60, 100, 604, 1000)
Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp] | None


Band = tuple[float, float]

TITLES = {
    "size": "Two equal models, 0/1 answers: % of tests with p <= 0.05",
    "difference": "Paired difference of 0/1 answers: coverage of 95% intervals, %",
    "share": "One model, 0/1 answers: coverage of 95% intervals, %",
    "values": "Values other than 0/1: coverage of 95% intervals, %; reject: % of tests with p <= 0.05",
    "margin": "Non-inferiority with a true loss of exactly the margin: % called non-inferior at 5%",
    "family": "Many tests without any true difference: % of families with a false positive",
    "seeds": "Two arms of several seeds: coverage of 95% intervals, %",
    "overall": "Overall value of six tasks, several seeds: coverage of 95% intervals, %",
    "nested": "Tuning runs within pre-training runs: coverage of 95% intervals, %",
    "variants": "Overall value with variants of the same items: coverage of 95% intervals, %",
    "documents": "Whole documents without any true difference, or at the margin: % with a false claim",
    "few": "Fewer than ten clusters, two equal models: % of tests with p <= 0.05",
    "power": "A true difference of exactly the detectable effect: % of tests with p <= 0.05",
}
SIZE, COVERAGE, BOUND, SAFE = (3.5, 5.5), (94.0, 96.5), (0.0, 5.5), (94.0, 100.0)
POWER = (75.0, 90.0)
TARGETS: dict[str, Band] = {
    "size": SIZE, "margin": SIZE, "family": BOUND, "documents": BOUND, "few": BOUND, "power": POWER,
}  # fmt: skip
LARGE_ITEMS, MANY_SEEDS = 60, "10 seeds"
SEED = 20_240_911
AGAIN = 5
"""A setting outside its target is simulated again, with this many times as many data sets."""
FEW_DISAGREEMENTS = 100
"""Up to this many items, 10% disagreement leaves too few disagreements for a test with a size near 5%."""
REASONS = {
    ("share", 22, 22, "rate 90%"): "whole counts",
    ("share", 100, 100, "rate 90%"): "whole counts",
    ("difference", 100, 100, "10% disagree, gain 10%"): "whole counts",
    ("difference", 100, 20, "10% disagree, gain 10%"): "no visible correlation",
}
"""Settings whose target no method could meet; docs/statistics.md gives the arguments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One setting of one study: the percentage of simulated data sets with the event that the study counts.

    `target` is the accepted range; None for a method that is only shown for contrast. `reason` says why no method could
    meet it; empty for most settings.
    """

    study: str
    items: int
    clusters: int
    setting: str
    percent: float
    monte_carlo_error: float
    target: Band | None
    repetitions: int
    reason: str = ""

    @property
    def outside(self) -> bool:
        """Whether there is a target and the percentage is outside it."""
        return self.target is not None and not self.target[0] <= self.percent <= self.target[1]

    @property
    def missed(self) -> bool:
        """Whether the percentage is outside its target without a reason."""
        return self.outside and not self.reason

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What identifies the setting."""
        return self.study, self.items, self.clusters, self.setting


def target_of(study: str, items: int, setting: str) -> Band | None:
    """Return the accepted range: small designs, few seeds and an exact p may be conservative, others may not.

    A test that ignores clusters has no target.
    """
    if "ignoring" in setting:
        return None
    if "p_exact" in setting:
        return BOUND
    target = SIZE if setting.startswith("reject") else TARGETS.get(study, COVERAGE)
    few_seeds = study in ("seeds", "overall", "nested") and not setting.startswith(MANY_SEEDS)
    if items < LARGE_ITEMS or few_seeds:
        return {SIZE: BOUND, COVERAGE: SAFE}.get(target, target)
    return target


def row(study: str, items: int, clusters: int, setting: str, hits: list[bool]) -> Row:
    """Return the row of a setting from its `hits`, one per simulated data set."""
    made = _row(study, items, clusters, setting, hits)
    return replace(made, reason=reason_of(made))


def _row(study: str, items: int, clusters: int, setting: str, hits: list[bool]) -> Row:
    share = float(np.mean(hits))
    return Row(
        study=study,
        items=items,
        clusters=clusters,
        setting=setting,
        percent=round(100 * share, 2),
        monte_carlo_error=round(100 * math.sqrt(share * (1 - share) / len(hits)), 2),
        target=target_of(study, items, setting),
        repetitions=len(hits),
    )


def reason_of(one: Row) -> str:
    """Return why no method could meet the target of a row outside it; empty if one could.

    With few disagreements the possible p-values are far apart, so the test can only be conservative.
    """
    if not one.outside or one.target is None:
        return ""
    careful = one.percent < one.target[0] if one.target[1] < 50.0 else one.percent > one.target[1]
    if one.setting.startswith("10% disagree") and one.items <= FEW_DISAGREEMENTS and careful:
        return "few disagreements"
    return REASONS.get(one.key, "")


def cluster_labels(items: int) -> npt.NDArray[np.intp]:
    """Return uneven clusters, of 2 items on average for small tasks, 3 for 60 items, else 5; always the same."""
    if items == 60:
        return np.repeat(np.arange(20), [1, 2, 3, 4, 5] * 4)
    sizes = np.random.default_rng(items).geometric(1 / (2 if items < 50 else 5), items)
    return np.repeat(np.arange(items), sizes)[:items]


@functools.cache
def answer_counts(gained: int, lost: int, items: int) -> tuple[float, float, float, float]:
    """Return p, p_exact and interval of one table; cached, because the same tables recur."""
    a, b = np.zeros(items), np.zeros(items)
    a[:lost], b[lost : lost + gained] = 1.0, 1.0
    comparison = compare_paired(a, b)
    return comparison.p, comparison.p_exact, comparison.low, comparison.high


def paired_unclustered(rng: np.random.Generator, items: int, repetitions: int) -> Iterator[Row]:
    """Tests and intervals of unclustered 0/1 answers that differ on a given share of items."""
    for disagree in (0.1, 0.3, 0.5):
        for gain in (0.0, 0.1):
            chances = [(disagree + gain) / 2, (disagree - gain) / 2, 1 - disagree]
            tables = rng.multinomial(items, chances, size=repetitions)
            outcomes = np.array([answer_counts(int(g), int(c), items) for g, c, _ in tables])
            setting = f"{disagree:.0%} disagree"
            if gain == 0.0:
                yield row("size", items, items, f"{setting}: p", list(outcomes[:, 0] <= 0.05))
                yield row("size", items, items, f"{setting}: p_exact", list(outcomes[:, 1] <= 0.05))
            covered = (outcomes[:, 2] <= gain + 1e-12) & (gain - 1e-12 <= outcomes[:, 3])
            yield row("difference", items, items, f"{setting}, gain {gain:.0%}", list(covered))


def paired_clustered(rng: np.random.Generator, items: int, repetitions: int) -> Iterator[Row]:
    """As above, with clusters: with probability sqrt(0.3), an item copies its cluster's value (correlation 0.3)."""
    labels = cluster_labels(items)
    clusters = int(labels.max()) + 1
    for disagree in (0.1, 0.3, 0.5):
        for gain in (0.0, 0.1):
            chances = np.array([(disagree + gain) / 2, (disagree - gain) / 2, 1 - disagree])
            kinds = np.array([1.0, -1.0, 0.0])
            tests, covered = [], []
            for _ in range(repetitions):
                own, common = rng.choice(kinds, items, p=chances), rng.choice(kinds, clusters, p=chances)
                difference = np.where(rng.random(items) < math.sqrt(0.3), common[labels], own)
                a, b = (difference < 0).astype(float), (difference > 0).astype(float)
                comparison = compare_paired(a, b, labels)
                ignoring = answer_counts(comparison.gained, comparison.lost, items)[0] if gain == 0.0 else 1.0
                tests.append((comparison.p, comparison.p_exact, ignoring))
                covered.append(comparison.low <= gain <= comparison.high)
            setting = f"{disagree:.0%} disagree"
            if gain == 0.0:
                for column, name in enumerate(("p", "p_exact", "p ignoring clusters")):
                    yield row("size", items, clusters, f"{setting}: {name}", [t[column] <= 0.05 for t in tests])
            yield row("difference", items, clusters, f"{setting}, gain {gain:.0%}", covered)


def one_share(rng: np.random.Generator, items: int, repetitions: int) -> Iterator[Row]:
    """Wilson, and Wilson with the effective size for beta-distributed cluster rates (correlation 0.2)."""
    labels = cluster_labels(items)
    clusters = int(labels.max()) + 1

    @functools.cache
    def unclustered(right: int) -> tuple[float, float]:
        bounds = interval(np.arange(items) < right)
        return bounds.low, bounds.high

    for rate in (0.25, 0.5, 0.75, 0.9):
        ends = [unclustered(int(right)) for right in rng.binomial(items, rate, repetitions)]
        yield row("share", items, items, f"rate {rate:.0%}", [low <= rate <= high for low, high in ends])
        covered = []
        for _ in range(repetitions // 5):
            rates = rng.beta(4 * rate, 4 * (1 - rate), clusters)
            bounds = interval(rng.random(items) < rates[labels], labels)
            covered.append(bounds.low <= rate <= bounds.high)
        yield row("share", items, clusters, f"rate {rate:.0%}", covered)


def other_values(rng: np.random.Generator, items: int, repetitions: int, labels: Labels = None) -> Iterator[Row]:
    """Bootstrap-t of one mean; Student's t and sign flip of a paired difference."""
    clusters = items if labels is None else int(labels.max()) + 1
    draws: dict[str, tuple[Callable[[int], Array], float]] = {
        "normal (log-likelihood)": (lambda n: rng.normal(-3.0, 1.0, n), -3.0),
        "many low scores (beta)": (lambda n: rng.beta(0.5, 1.0, n), 1 / 3),
        "half zeros (BLEU)": (lambda n: np.where(rng.random(n) < 0.5, 0.0, rng.random(n)), 0.25),
    }
    for name, (draw, truth) in draws.items():
        single, paired, rejected = [], [], []
        for _ in range(repetitions):
            values, others = (correlated_within(rng, draw, items, labels) for _ in range(2))
            bounds = interval(values, labels, resamples=600)
            single.append(bounds.low <= truth <= bounds.high)
            difference = compare_paired(values, others, labels, resamples=499)
            paired.append(difference.low <= 0.0 <= difference.high)
            rejected.append(difference.p <= 0.05)
        yield row("values", items, clusters, f"mean, {name}", single)
        yield row("values", items, clusters, f"difference, {name}", paired)
        yield row("values", items, clusters, f"reject, {name}", rejected)


def correlated_within(rng: np.random.Generator, draw: Callable[[int], Array], items: int, labels: Labels) -> Array:
    """Draw values; with probability sqrt(0.3), an item copies its cluster's value, so the correlation is 0.3."""
    own = draw(items)
    if labels is None:
        return own
    return np.where(rng.random(items) < math.sqrt(0.3), draw(int(labels.max()) + 1)[labels], own)


def at_the_margin(rng: np.random.Generator, items: int, repetitions: int) -> Iterator[Row]:
    """A true loss of exactly the margin: a 5% test may call it non-inferior in 5% of the data sets."""

    @functools.cache
    def harmless(gained: int, lost: int, margin: float) -> bool:
        a, b = np.zeros(items), np.zeros(items)
        a[:lost], b[lost : lost + gained] = 1.0, 1.0
        return non_inferiority(a, b, margin=margin).conclusion == "non-inferior"

    for margin in (0.02, 0.1):
        tables = rng.multinomial(items, [(0.3 - margin) / 2, (0.3 + margin) / 2, 0.7], size=repetitions)
        hits = [harmless(int(g), int(c), margin) for g, c, _ in tables]
        yield row("margin", items, items, f"30% disagree, margin {margin:.0%}", hits)


def at_the_margin_clustered(rng: np.random.Generator, items: int, repetitions: int) -> Iterator[Row]:
    """As above, with differences correlated within clusters."""
    labels = cluster_labels(items)
    kinds = np.array([1.0, -1.0, 0.0])
    for margin in (0.02, 0.1):
        chances = [(0.3 - margin) / 2, (0.3 + margin) / 2, 0.7]
        hits = []
        for _ in range(repetitions):
            difference = correlated_within(rng, lambda n, p=chances: rng.choice(kinds, n, p=p), items, labels)  # type: ignore[misc]
            a, b = (difference < 0).astype(float), (difference > 0).astype(float)
            hits.append(non_inferiority(a, b, margin=margin, clusters=labels).conclusion == "non-inferior")
        yield row("margin", items, int(labels.max()) + 1, f"30% disagree, margin {margin:.0%}", hits)


def families(rng: np.random.Generator, repetitions: int) -> Iterator[Row]:
    """Twenty tasks under Holm, and leaderboards of twelve equal models."""
    sizes = np.resize(ITEMS, 20)
    for name, column in (("p", 0), ("p_exact", 1)):
        alarms = []
        for _ in range(repetitions):
            tables = [(int(n), rng.multinomial(n, [0.15, 0.15, 0.7])) for n in sizes]
            p_values = [answer_counts(int(t[0]), int(t[1]), n)[column] for n, t in tables]
            alarms.append(bool((holm(p_values) <= 0.05).any()))
        yield row("family", 0, 0, f"Holm over 20 tasks of 22 to 1000 items: {name}", alarms)
    for items in (100, 300):
        alarms = []
        for _ in range(repetitions // 2):
            scores = [(rng.random((12, items)) < 0.5).astype(float) for _ in range(2)]
            alarms.append(bool(rank_models(scores, draws=1000).differ.any()))
        yield row("family", items, items, "leaderboard of 12 equal models, 2 tasks of n items: any pair apart", alarms)


def clustered_leaderboards(rng: np.random.Generator, repetitions: int) -> Iterator[Row]:
    """Leaderboards of twelve equal models whose answers are correlated within clusters, independently by model."""
    for items in (100, 300):
        labels = cluster_labels(items)
        clusters = int(labels.max()) + 1
        alarms = []
        for _ in range(repetitions // 4):
            scores = [
                (rng.random((12, items)) < rng.beta(2.0, 2.0, (12, clusters))[:, labels]).astype(float) for _ in "ab"
            ]
            alarms.append(bool(rank_models(scores, clusters=[labels, labels], draws=1000).differ.any()))
        yield row(
            "family", items, clusters, "leaderboard of 12 equal models, 2 tasks of n items: any pair apart", alarms
        )


def clustered_arms(rng: np.random.Generator, repetitions: int) -> Iterator[Row]:
    """Two equal arms of several seeds; in each cluster, one of them is better by chance."""
    labels = cluster_labels(300)
    clusters = int(labels.max()) + 1
    for seeds in (2, 3, 5, 10):
        covered = []
        for _ in range(repetitions // 2):
            difficulty = rng.normal(0.0, 1.0, 300) + rng.normal(0.0, 0.5, (2, 1, clusters))[:, :, labels]
            logits = difficulty + rng.normal(0.0, 0.15, (2, seeds, 1))
            a, b = (rng.random((2, seeds, 300)) < 1 / (1 + np.exp(-logits))).astype(float)
            comparison = compare_arms(a, b, labels)
            covered.append(comparison.low <= 0.0 <= comparison.high)
        yield row("seeds", 300, clusters, f"{seeds} seeds, seed scatter 0.15 logits", covered)


def arms_of_seeds(rng: np.random.Generator, repetitions: int) -> Iterator[Row]:
    """Two equal arms, 300 items; each seed shifts the logits of all items by the same normal draw."""
    for seeds in (2, 3, 5, 10):
        for scatter in (0.0, 0.15):
            covered = []
            for _ in range(repetitions):
                difficulty = rng.normal(0.0, 1.0, 300)
                logits = difficulty + rng.normal(0.0, scatter, (2, seeds, 1))
                a, b = (rng.random((2, seeds, 300)) < 1 / (1 + np.exp(-logits))).astype(float)
                comparison = compare_arms(a, b)
                covered.append(comparison.low <= 0.0 <= comparison.high)
            yield row("seeds", 300, 300, f"{seeds} seeds, seed scatter {scatter:g} logits", covered)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One study of one size, with random numbers of its own: the rows do not depend on the number of workers."""

    number: int
    study: Callable[..., Iterator[Row]]
    arguments: tuple[object, ...]
    repetitions: int
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the study and its size, such as ``paired_clustered 100``; ``--only`` searches it."""
        if self.study is study_of_runs:
            return STUDIES[int(str(self.arguments[0]))].__name__
        return " ".join([self.study.__name__, *map(str, self.arguments)])

    def run(self) -> list[Row]:
        """Return the rows of the study; those outside their target are simulated again."""
        rows = self._rows(self.repetitions, 0)
        if not any(one.missed for one in rows):
            return rows
        again = {one.key: one for one in self._rows(AGAIN * self.repetitions, 1)}
        return [again[one.key] if one.missed else one for one in rows]

    def _rows(self, repetitions: int, attempt: int) -> list[Row]:
        rng = np.random.default_rng((SEED, self.number, *((self.seed, attempt) if self.seed or attempt else ())))
        return list(self.study(rng, *self.arguments, repetitions))


def other_values_clustered(rng: np.random.Generator, items: int, repetitions: int) -> Iterator[Row]:
    """As `other_values`, in clusters."""
    return other_values(rng, items, repetitions, cluster_labels(items))


def study_of_runs(rng: np.random.Generator, number: int, repetitions: int) -> Iterator[Row]:
    """Rows of a study of `calibration_runs`."""
    return (row(*setting) for setting in STUDIES[number](rng, repetitions))


def jobs(scale: float, seed: int = 0) -> list[Job]:
    """Return all studies; `scale` multiplies the numbers of repetitions."""
    planned: list[tuple[Callable[..., Iterator[Row]], tuple[object, ...], int]] = []
    for items in ITEMS:
        planned += [
            (paired_unclustered, (items,), 10_000),
            (paired_clustered, (items,), 3_000),
            (one_share, (items,), 10_000),
            (other_values, (items,), 2_000),
            (other_values_clustered, (items,), 2_000),
        ]
        if items >= LARGE_ITEMS:
            planned += [(at_the_margin, (items,), 10_000), (at_the_margin_clustered, (items,), 3_000)]
    planned += [(study, (), 2_000) for study in (families, clustered_leaderboards, arms_of_seeds, clustered_arms)]
    planned += [(study_of_runs, (number,), 2_000) for number in range(len(STUDIES))]
    return [
        Job(number=number, study=study, arguments=arguments, repetitions=max(20, round(scale * repetitions)), seed=seed)
        for number, (study, arguments, repetitions) in enumerate(planned)
    ]


def simulate(planned: list[Job], workers: int) -> Iterator[Row]:
    """Run studies, in `workers` processes."""
    if workers == 1:
        for job in planned:
            yield from job.run()
            answer_counts.cache_clear()
        return
    with ProcessPoolExecutor(workers) as pool:
        for rows in pool.map(Job.run, planned):
            yield from rows


def table(study: str, rows: list[Row]) -> str:
    """Return one study as a Markdown table of settings by sample sizes; cells that miss their target are bold."""
    mine = [r for r in rows if r.study == study]
    columns = sorted({(r.items, r.clusters) for r in mine}, key=lambda c: (c[0], -c[1]))
    heads = [_heading(*column) for column in columns]
    lines = [f"**{TITLES[study]}**", ""]
    lines += ["| setting | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(columns)]
    for setting in dict.fromkeys(r.setting for r in mine):
        cells = {(r.items, r.clusters): r for r in mine if r.setting == setting}
        texts = []
        for column in columns:
            cell = cells.get(column)
            text = f"{cell.percent:.1f}" if cell else ""
            mark = "**" if cell and cell.missed else "*" if cell and cell.outside else ""
            texts.append(f"{mark}{text}{mark}")
        lines.append(f"| {setting} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _heading(items: int, clusters: int) -> str:
    if not items:
        return f"{clusters} clusters" if clusters else "%"
    return f"n={items}" + (f", {clusters} clusters" if clusters != items else "")


def write_docs(path: Path, rows: list[Row]) -> None:
    """Replace the text between the markers."""
    begin, end = "<!-- calibration:begin -->", "<!-- calibration:end -->"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    judged = [r for r in rows if r.target]
    met = sum(not r.outside for r in judged)
    excused, missed = sum(r.outside and not r.missed for r in judged), sum(r.missed for r in judged)
    summary = (
        f"{met} of {len(judged)} settings meet their target: tests 3.5 to 5.5, exact tests, families and designs below "
        f"{LARGE_ITEMS} items at most 5.5; coverage 94 to 96.5, and at least 94 below {LARGE_ITEMS} items or with "
        f"fewer than 10 seeds; power 75 to 90. {excused} cannot, for a reason below the tables (in italics); {missed} "
        f"miss it (bold). Monte Carlo error of a percentage: at most {max(r.monte_carlo_error for r in rows):.1f}."
    )
    body = "\n\n".join([summary, *(table(study, rows) for study in TITLES)])
    path.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}", encoding="utf-8")


def merged(path: Path, measured: list[Row]) -> list[Row]:
    """Return the file's rows, each replaced by the measured row of the same setting; new rows come last."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [Row(**line | {"target": line["target"] and tuple(line["target"])}) for line in map(json.loads, lines)]
    rows = {one.key: one for one in [*kept, *measured]}
    return [replace(one, reason=reason_of(one)) for one in rows.values()]


def main() -> None:
    """Run the studies, write rows and tables, and print how many settings meet their target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of repetitions")
    parser.add_argument("--workers", type=int, default=1, help="processes; the rows are the same for any number")
    parser.add_argument("--only", help="run studies with this in their name, such as 'clustered 100'; keep other rows")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random numbers; files are written only if it is 0"
    )
    parser.add_argument("--no_docs", action="store_true", help="print the rows, write no files")
    arguments = parser.parse_args()
    planned = [job for job in jobs(arguments.scale, arguments.seed) if (arguments.only or "") in job.name]
    if not planned:
        names = ", ".join(job.name for job in jobs(1.0))
        parser.error(f"--only {arguments.only}: no such study; give part of one of these names: {names}")
    rows = []
    for one in simulate(planned, arguments.workers):
        rows.append(one)
        place = f"n={one.items:<5} k={one.clusters:<5}"
        verdict = "MISSED" if one.missed else one.reason
        print(f"{one.study:10} {place} {one.setting:60} {one.percent:6.2f} {verdict}".rstrip(), flush=True)
    judged = [one for one in rows if one.target]
    print(f"{sum(not one.outside for one in judged)} of {len(judged)} targets met")
    if not arguments.no_docs and not arguments.seed:
        path = ROOT / "results" / "calibration.jsonl"
        everything = merged(path, rows) if arguments.only else rows
        path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in everything), encoding="utf-8")
        write_docs(ROOT.parent / "docs" / "statistics.md", everything)
    if not arguments.only:
        flags = ["--scale", str(arguments.scale), *(["--no_docs"] if arguments.no_docs or arguments.seed else [])]
        subprocess.run([sys.executable, str(ROOT / "calibration_factorial.py"), *flags], check=True)


if __name__ == "__main__":
    main()

"""Simulated studies of several runs, tasks and families, for `calibration`: each yields a setting and its hits.

A hit is one simulated data set with the event that the study counts: an interval that holds the truth, a false claim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from harness.stats import (
    TaskScores,
    compare_over_tasks,
    compare_paired,
    hochberg,
    minimum_detectable_effect,
    minimum_detectable_effect_binary,
    non_inferiority,
)
from harness.stats.combining import Estimate, combine_correlated, implied_p
from harness.stats.item_sets import Units, correlation_of, covariance_of_means

Array = npt.NDArray[np.float64]
Setting = tuple[str, int, int, str, list[bool]]
"""Study, items, clusters, setting, hits."""


def answers(rng: np.random.Generator, logits: Array) -> Array:
    """Right or wrong answers with these log-odds."""
    return np.asarray(rng.random(logits.shape) < 1.0 / (1.0 + np.exp(-logits)), dtype=np.float64)


def overall_of_runs(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """Two equal arms on six tasks of 200 items; the luck of a run is the same on all tasks."""

    def covers(seeds: tuple[int, int], scatter: float) -> bool:
        luck = [rng.normal(0.0, scatter, (count, 1)) for count in seeds]
        tasks = []
        for _ in range(6):
            difficulty = rng.normal(0.0, 1.0, 200)
            a, b = (answers(rng, difficulty + rng.normal(0.0, 0.2, 200) + own) for own in luck)
            tasks.append(TaskScores(a=a, b=b, weight=1 / 6))
        test = compare_over_tasks(tasks)
        return test.low <= 0.0 <= test.high

    for seeds in ((3, 3), (5, 5), (10, 10), (2, 10), (3, 10)):
        for scatter in (0.0, 0.15, 0.3):
            label = f"{seeds[0]} seeds" if seeds[0] == seeds[1] else f"{seeds[0]} against {seeds[1]} seeds"
            hits = [covers(seeds, scatter) for _ in range(repetitions)]
            yield "overall", 1200, 1200, f"{label}, seed scatter {scatter:g} logits", hits


def nested_runs(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """Tuning runs within pre-training runs, with a scatter of 0.1 and 0.3 logits; one task of 300 items."""

    def covers(plots: int, runs: int, shared: bool) -> bool:
        first = rng.normal(0.0, 0.3, plots)
        second = first if shared else rng.normal(0.0, 0.3, plots)
        names = [f"p{plot}" for plot in range(plots) for _ in range(runs)]
        difficulty = rng.normal(0.0, 1.0, 300)
        a, b = (
            answers(
                rng,
                difficulty
                + rng.normal(0.0, 0.2, 300)
                + np.repeat(own, runs)[:, None]
                + rng.normal(0.0, 0.1, (plots * runs, 1)),
            )
            for own in (first, second)
        )
        others = names if shared else [f"q{name}" for name in names]
        test = compare_over_tasks([TaskScores(a=a, b=b)], (names, others))
        return test.low <= 0.0 <= test.high

    for plots, runs in ((2, 3), (3, 2), (5, 2), (10, 1)):
        for shared in (False, True):
            hits = [covers(plots, runs, shared) for _ in range(repetitions)]
            how = "shared by both arms" if shared else "per arm"
            yield "nested", 300, 300, f"{plots} pre-training runs {how}, {runs} tuning runs of each", hits


def combined(values: Sequence[tuple[Array, Array]], units: Sequence[Units], sets: Sequence[str]) -> Estimate:
    """The overall difference of two single runs: variants averaged within item sets, then item sets."""
    counts = {name: list(sets).count(name) for name in sets}
    weights = np.array([1.0 / (len(counts) * counts[name]) for name in sets])
    tests = [compare_paired(a, b, own) for (a, b), own in zip(values, units, strict=True)]
    covariance = covariance_of_means([b - a for a, b in values], units, sets)
    estimates = [Estimate(value=test.difference, low=test.low, high=test.high) for test in tests]
    return combine_correlated(estimates, weights, correlation_of(covariance, sets))


def variants(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """Three variants of the same items and one other task; models differ in which items they find hard."""
    for items in (60, 300):
        clusters = np.arange(items) * 20 // items
        for labels in (None, clusters):
            hits = []
            for _ in range(repetitions):
                tasks = []
                for count in (3, 1):
                    shared = rng.normal(0.0, 1.0, items)
                    own = rng.normal(0.0, 0.7, (2, items))
                    if labels is not None:
                        own = own + rng.normal(0.0, 0.5, (2, 20))[:, labels]
                    for _ in range(count):
                        a, b = (answers(rng, shared + one + rng.normal(0.0, 0.3, items)) for one in own)
                        tasks.append((a, b))
                whole = combined(tasks, [labels] * 4, ["x", "x", "x", "y"])
                hits.append(whole.low <= 0.0 <= whole.high)
            yield (
                "variants",
                items,
                items if labels is None else 20,
                "3 variants of the same items and 1 other task",
                hits,
            )


def documents(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """Documents of two equal models: the overall value is tested first, so a claim needs its p at most 5%."""
    for tasks in (2, 6, 20):
        for items, count in ((60, 60), (100, 100), (60, 20), (100, 20)):
            labels = None if count == items else np.arange(items) * count // items
            hits = []
            for _ in range(repetitions):
                values = []
                for _ in range(tasks):
                    logits = rng.normal(0.0, 1.0, items) + np.zeros((2, items))
                    if labels is not None:
                        logits = logits + rng.normal(0.0, 0.5, (2, count))[:, labels]
                    values.append((answers(rng, logits[0]), answers(rng, logits[1])))
                whole = combined(values, [labels] * tasks, [str(task) for task in range(tasks)])
                hits.append(implied_p(whole) <= 0.05)
            yield "documents", items, count, f"{tasks} tasks: any claim", hits


def margins(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """Eight tasks with a true loss of exactly the margin: a document with any of them called non-inferior is false."""
    for items in (100, 400):
        hits = []
        for _ in range(repetitions):
            p_values = []
            for _ in range(8):
                difference = rng.choice([1.0, -1.0, 0.0], items, p=[0.1, 0.2, 0.7])
                test = non_inferiority((difference < 0).astype(float), (difference > 0).astype(float), margin=0.1)
                p_values.append(test.p)
            hits.append(bool((hochberg(p_values) < 0.05).any()))
        yield "documents", items, items, "8 tasks at the margin: any called non-inferior", hits


def few_clusters(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """Two equal models on uneven clusters, fewer than ten: the wild cluster bootstrap."""
    for count in (3, 5, 7, 9):
        for disagree in (0.1, 0.3, 0.5):
            hits = []
            for _ in range(repetitions):
                labels = np.repeat(np.arange(count), rng.integers(3, 15, count))
                chances = [disagree / 2, disagree / 2, 1 - disagree]
                own = rng.choice([1.0, -1.0, 0.0], labels.size, p=chances)
                common = rng.choice([1.0, -1.0, 0.0], count, p=chances)[labels]
                difference = np.where(rng.random(labels.size) < math.sqrt(0.3), common, own)
                test = compare_paired((difference < 0).astype(float), (difference > 0).astype(float), labels)
                hits.append(test.p <= 0.05)
            yield "few", 0, count, f"{disagree:.0%} disagree", hits


def power_at_the_detectable_effect(rng: np.random.Generator, repetitions: int) -> Iterator[Setting]:
    """How often a true difference of the minimum detectable effect is found; the target is 80%."""
    for items in (100, 604):
        effect = minimum_detectable_effect_binary(items, 0.3)
        tables = rng.multinomial(items, [(0.3 + effect) / 2, (0.3 - effect) / 2, 0.7], size=repetitions)
        a, b = np.zeros(items), np.zeros(items)
        hits = []
        for gained, lost, _ in tables:
            a[:], b[:] = 0.0, 0.0
            a[:lost], b[lost : lost + gained] = 1.0, 1.0
            hits.append(compare_paired(a, b).p <= 0.05)
        yield "power", items, items, "single runs, 30% disagree", hits
    for seeds in (3, 5, 10):
        hits = []
        for _ in range(repetitions):
            noise = rng.normal(0.0, 0.02, (2, seeds, 1)) + rng.normal(0.0, 0.3, (2, seeds, 300))
            base = rng.normal(0.0, 0.3, 300) + rng.normal(0.0, 0.1, (2, 1, 300))
            values = base + noise
            error = math.sqrt(2 * (0.02**2 / seeds + 0.1**2 / 300 + 0.3**2 / seeds / 300))
            effect = minimum_detectable_effect(error, 2.0 * (seeds - 1))
            hits.append(compare_over_tasks([TaskScores(a=values[0], b=values[1] + effect)]).p <= 0.05)
        yield "power", 300, 300, f"{seeds} seeds, seed scatter 0.02", hits


STUDIES = (overall_of_runs, nested_runs, variants, documents, margins, few_clusters, power_at_the_detectable_effect)

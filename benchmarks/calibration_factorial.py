"""Measure the error rates of a factorial analysis on simulated 2 x 2 studies with a known truth.

`calibration.py` runs this too. By itself it takes about 15 minutes on one core, writes one row per setting to
``results/calibration_factorial.jsonl``, and the tables between the markers in ``docs/statistics.md``:

    python benchmarks/calibration_factorial.py [--scale 0.1] [--only overall-3] [--seed 1] [--no_docs]

A setting outside its target is simulated again, with five times as many studies and new random numbers, and the second
result is kept, because some of 300 settings would miss by chance.

The simulated studies: item difficulty in uneven clusters, items that react differently to each factor, pre-training and
tuning runs with luck in logits, answers right or wrong.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.stats import TaskScores, compare_over_tasks, holm
from harness.stats.factorial import ContrastEstimate, ItemTable, Runs, estimate_contrast, two_by_two
from harness.stats.levels import levels_p
from harness.stats.noninferiority import both_sides

ROOT = Path(__file__).resolve().parent
SEED = 20_251_129
CONTRASTS = two_by_two((0, 1), (0, 1), ("pretrain", "tune"))
SHOWN = ("pretrain", "tune", "interaction", "NC-NN", "CN-NN")
SIZES = ((60, 20), (200, 40), (1000, 200))
SEEDS = (3, 5, 10)
LUCK = {"no luck of runs": (0.0, 0.0), "little luck": (0.08, 0.05), "much luck": (0.3, 0.2)}
"""Standard deviations of pre-training and tuning runs in logits."""
AGAIN = 5
"""A setting outside its target is simulated again, with this many times as many studies."""
CAREFUL, EXACT = (0.0, 5.5), (3.5, 5.5)
"""Accepted percentages of rejected true null hypotheses: with few runs, and with ten runs or for items only."""

Array = npt.NDArray[np.float64]

TITLES = {
    "null": "True null hypotheses: % of tests with p <= 0.05 (their intervals cover in 100 minus this)",
    "effect": "True effects at both stages: % of 95% intervals that miss the truth",
    "family": "Families without any true effect: % with a false positive",
    "items": "One run per arm, statements about items: % of tests with p <= 0.05",
    "levels": "Three levels against one reference, Dunnett's p, no true effect: % of studies with a false positive",
    "few": "Fewer than ten clusters of items: % of tests with p <= 0.05",
    "stages": "Three stages, each against its own parent, no true effect: % of tests with p <= 0.05",
    "shared": "Two arms that share some pre-training runs, no true effect: % of tests with p <= 0.05",
    "margin": "Fewer than ten clusters, several runs per arm, a true loss of the margin: % with a false conclusion",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of simulated study.

    Attributes:
        items: Items of a task.
        clusters: Their clusters.
        seeds: Pre-training runs per level.
        luck: Standard deviation of pre-training and of tuning runs, in logits.
        effects: Effect of pre-training, of tuning, and of both beyond their sum, in logits.
        reaction: Standard deviation of the items' own reaction to each factor, in logits.
    """

    items: int
    clusters: int
    seeds: int
    luck: tuple[float, float]
    effects: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reaction: float = 0.3

    @property
    def labels(self) -> npt.NDArray[np.intp]:
        """Cluster of each item; uneven, and the same in every study of this size."""
        rng = np.random.default_rng(self.items)
        shares = rng.dirichlet(np.full(self.clusters, 3.0))
        return np.repeat(np.arange(self.clusters), 1 + rng.multinomial(self.items - self.clusters, shares))


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorialRow:
    """The percentage of simulated studies with an error; `target` is the accepted range."""

    study: str
    items: int
    clusters: int
    seeds: int
    setting: str
    contrast: str
    percent: float
    monte_carlo_error: float
    target: tuple[float, float]
    repetitions: int

    @property
    def missed(self) -> bool:
        """Whether the percentage is outside the accepted range."""
        return not self.target[0] <= self.percent <= self.target[1]


def design(seeds: int) -> Runs:
    """The runs of a balanced study, in the order of a flattened array [pretrain, tune, seed]."""
    places = [(p, t, u) for p in (0, 1) for t in (0, 1) for u in range(seeds)]
    return Runs(cells=[(p, t) for p, t, _ in places], plots=[(p, u) for p, _, u in places])


def draw_luck(rng: np.random.Generator, setting: Setting) -> Array:
    """The luck of the runs, shape (2, 2, seeds, 1); a run has it on every task."""
    plot = rng.normal(0, setting.luck[0], (2, 1, setting.seeds, 1))
    luck: Array = plot + rng.normal(0, setting.luck[1], (2, 2, setting.seeds, 1))
    return luck


def probabilities(rng: np.random.Generator, setting: Setting, luck: Array) -> Array:
    """Each run's probability of a right answer on each item of a new task, shape (2, 2, seeds, items)."""
    labels = setting.labels

    def items(spread: float, *shape: int) -> Array:
        """Values of items that are correlated within clusters, with this standard deviation."""
        own = rng.normal(0, math.sqrt(0.7) * spread, (*shape, setting.items))
        both: Array = own + rng.normal(0, math.sqrt(0.3) * spread, (*shape, setting.clusters))[..., labels]
        return both

    first, second, both = setting.effects
    level = np.array([0.0, 1.0])
    logits = items(1.1) + items(setting.reaction, 2, 1, 1) + items(setting.reaction, 1, 2, 1)
    logits = logits + items(setting.reaction / 2, 2, 2, 1)
    logits = logits + level[:, None, None, None] * first + level[:, None, None] * second
    logits = logits + np.outer(level, level)[:, :, None, None] * both + luck
    chances: Array = 1.0 / (1.0 + np.exp(-logits))
    return chances


def draw_task(rng: np.random.Generator, setting: Setting, luck: Array, weight: float = 1.0) -> ItemTable:
    """Right and wrong answers of all runs on a new task."""
    chances = probabilities(rng, setting, luck)
    values = (rng.random(chances.shape) < chances).astype(np.float64).reshape(4 * setting.seeds, -1)
    return ItemTable(values=values, clusters=setting.labels, weight=weight, span=(0.0, 1.0))


def truths(setting: Setting) -> dict[str, float]:
    """The true contrasts: means over very many items and runs."""
    many = Setting(
        items=2_000, clusters=2_000, seeds=200, luck=setting.luck, effects=setting.effects, reaction=setting.reaction
    )
    rng, cells = np.random.default_rng(1), np.zeros((2, 2))
    for _ in range(20):
        cells += probabilities(rng, many, draw_luck(rng, many)).mean(axis=(2, 3)) / 20
    return {name: sum(c * float(cells[cell]) for cell, c in one.items()) for name, one in CONTRASTS.items()}


def row(study: str, setting: Setting, name: str, contrast: str, errors: Sequence[bool]) -> FactorialRow:
    """Return the row of a setting from its errors, one per simulated study."""
    share = float(np.mean(errors))
    exact = setting.seeds >= 10 or study == "items"
    return FactorialRow(
        study=study,
        items=setting.items,
        clusters=setting.clusters,
        seeds=setting.seeds,
        setting=name,
        contrast=contrast,
        percent=round(100 * share, 2),
        monte_carlo_error=round(100 * math.sqrt(share * (1 - share) / len(errors)), 2),
        target=EXACT if exact and study not in ("family", "few", "margin") else CAREFUL,
        repetitions=len(errors),
    )


def misses(estimate: ContrastEstimate, truth: float = 0.0) -> bool:
    """Whether the interval misses the truth; for a truth of 0, whether p is at most 0.05."""
    return not estimate.low <= truth <= estimate.high


def null_studies(
    rng: np.random.Generator, repetitions: int, seeds: int, sizes: Sequence[tuple[int, int]] = SIZES
) -> Iterator[FactorialRow]:
    """No effect anywhere, on one task."""
    for items, clusters in sizes:
        for name, luck in LUCK.items():
            setting = Setting(items=items, clusters=clusters, seeds=seeds, luck=luck)
            errors: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
            for _ in range(repetitions):
                table = draw_task(rng, setting, draw_luck(rng, setting))
                for contrast in SHOWN:
                    errors[contrast].append(misses(estimate_contrast([table], design(seeds), CONTRASTS[contrast])))
            yield from (row("null", setting, name, contrast, hits) for contrast, hits in errors.items())


def true_effects(rng: np.random.Generator, repetitions: int, seeds: int) -> Iterator[FactorialRow]:
    """Effects of both factors and of both together."""
    for items, clusters in (SIZES[0], SIZES[2]):
        effects = (0.4, 0.25, 0.3)
        setting = Setting(items=items, clusters=clusters, seeds=seeds, luck=(0.1, 0.05), effects=effects)
        truth = truths(setting)
        errors: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
        for _ in range(repetitions):
            table = draw_task(rng, setting, draw_luck(rng, setting))
            for contrast in SHOWN:
                estimate = estimate_contrast([table], design(seeds), CONTRASTS[contrast])
                errors[contrast].append(misses(estimate, truth[contrast]))
        yield from (row("effect", setting, "effects", contrast, hits) for contrast, hits in errors.items())


def overall_and_families(rng: np.random.Generator, repetitions: int, seeds: int) -> Iterator[FactorialRow]:
    """Four tasks that the same runs answer: the overall value, and both corrected families; half the repetitions."""
    for name, luck in LUCK.items():
        setting = Setting(items=200, clusters=40, seeds=seeds, luck=luck)
        primary, secondary = [], []
        errors: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
        for _ in range(max(20, repetitions // 2)):
            own = draw_luck(rng, setting)
            tables = [draw_task(rng, setting, own, weight=0.25) for _ in range(4)]
            whole = {c: estimate_contrast(tables, design(seeds), CONTRASTS[c]) for c in SHOWN}
            for contrast, estimate in whole.items():
                errors[contrast].append(misses(estimate))
            primary.append(bool((holm([whole[c].p for c in SHOWN[:3]]) <= 0.05).any()))
            single = [estimate_contrast([t], design(seeds), CONTRASTS[c]).p for t in tables for c in SHOWN[:3]]
            secondary.append(bool((holm(single) <= 0.05).any()))
        for contrast, hits in errors.items():
            yield row("null", setting, f"overall of four tasks, {name}", contrast, hits)
        yield row("family", setting, name, "primary, Holm over 3", primary)
        yield row("family", setting, name, "secondary, Holm over 12", secondary)


def items_only(rng: np.random.Generator, repetitions: int) -> Iterator[FactorialRow]:
    """One run per arm without luck, so that only the choice of items is left."""
    for items, clusters in SIZES:
        setting = Setting(items=items, clusters=clusters, seeds=1, luck=(0.0, 0.0))
        errors: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
        for _ in range(repetitions):
            table = draw_task(rng, setting, draw_luck(rng, setting))
            for contrast in SHOWN:
                errors[contrast].append(misses(estimate_contrast([table], design(1), CONTRASTS[contrast])))
        yield from (row("items", setting, "one run per arm", contrast, hits) for contrast, hits in errors.items())


def two_runs(rng: np.random.Generator, repetitions: int) -> Iterator[FactorialRow]:
    """Two pre-training runs per level: too few, so tests must err on the safe side."""
    for items, clusters in SIZES[1:]:
        yield from _two_runs_on(rng, repetitions, items, clusters)


def _two_runs_on(rng: np.random.Generator, repetitions: int, items: int, clusters: int) -> Iterator[FactorialRow]:
    for name, luck in LUCK.items():
        setting = Setting(items=items, clusters=clusters, seeds=2, luck=luck)
        errors: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
        for _ in range(repetitions):
            table = draw_task(rng, setting, draw_luck(rng, setting))
            for contrast in SHOWN:
                errors[contrast].append(misses(estimate_contrast([table], design(2), CONTRASTS[contrast])))
        yield from (row("null", setting, name, contrast, hits) for contrast, hits in errors.items())


def levels_of_a_factor(rng: np.random.Generator, repetitions: int, seeds: int) -> Iterator[FactorialRow]:
    """A factor of four levels, such as a mixture schedule: three levels against the reference, by Dunnett's test.

    At tuning, each pre-training run is tuned at all levels; at pre-training, each level has its own runs. Runs a
    third of the repetitions, because each test integrates a multivariate t distribution.
    """
    contrasts = [{0: -1.0, level: 1.0} for level in (1, 2, 3)]
    for items, clusters in SIZES[:2]:
        for name, luck in LUCK.items():
            setting = Setting(items=items, clusters=clusters, seeds=seeds, luck=luck)
            for stage in ("pretrain", "tune"):
                places = [(level, u) for level in range(4) for u in range(seeds)]
                plots = [(level if stage == "pretrain" else 0, u) for level, u in places]
                runs = Runs(cells=[level for level, _ in places], plots=plots)
                rejections = []
                for _ in range(max(20, repetitions // 3)):
                    table = draw_levels(rng, setting, plots)
                    estimates = [estimate_contrast([table], runs, one) for one in contrasts]
                    rejections.append(min(levels_p([table], runs, contrasts, estimates)) <= 0.05)
                yield row("levels", setting, name, f"factor of {stage}", rejections)


def draw_levels(rng: np.random.Generator, setting: Setting, plots: Sequence[tuple[int, int]]) -> ItemTable:
    """Right and wrong answers of runs at four levels, without a true effect."""
    of_plots = {plot: rng.normal(0, setting.luck[0]) for plot in dict.fromkeys(plots)}
    luck = np.array([of_plots[plot] for plot in plots])[:, None] + rng.normal(0, setting.luck[1], (len(plots), 1))
    reaction = np.repeat(rng.normal(0, setting.reaction, (4, setting.items)), setting.seeds, axis=0)
    difficulty = rng.normal(0, 0.9, setting.items) + rng.normal(0, 0.6, setting.clusters)[setting.labels]
    chances = 1.0 / (1.0 + np.exp(-(difficulty + reaction + luck)))
    values = (rng.random(chances.shape) < chances).astype(np.float64)
    return ItemTable(values=values, clusters=setting.labels, span=(0.0, 1.0))


def stage_chains(rng: np.random.Generator, repetitions: int) -> Iterator[FactorialRow]:
    """Three stages of two models each: every model against its own parent, with pre-training runs as plots."""
    for (items, clusters), seeds in itertools.product(SIZES[:2], SEEDS):
        for name, luck in LUCK.items():
            setting = Setting(items=items, clusters=clusters, seeds=seeds, luck=luck)
            # Two models of the third stage from each of the second, which have one pre-training run each.
            runs = Runs(cells=["third"] * 2 * seeds + ["second"] * seeds, plots=[*range(seeds)] * 3)
            errors: dict[str, list[bool]] = {"third stage": [], "second stage": []}
            for _ in range(repetitions):
                table = draw_chain(rng, setting)
                for contrast, cell in (("third stage", "third"), ("second stage", "second")):
                    errors[contrast].append(misses(estimate_contrast([table], runs, {cell: 1.0})))
            yield from (row("stages", setting, name, contrast, hits) for contrast, hits in errors.items())


def draw_chain(rng: np.random.Generator, setting: Setting) -> ItemTable:
    """Each model of stages three and two minus its parent; a model inherits its parent's luck and adds its own."""
    seeds, (first, later) = setting.seeds, setting.luck
    pre = rng.normal(0, first, (seeds, 1))
    second = pre + rng.normal(0, later, (seeds, 1))
    third = np.concatenate([second, second]) + rng.normal(0, later, (2 * seeds, 1))
    difficulty = rng.normal(0, 0.9, setting.items) + rng.normal(0, 0.6, setting.clusters)[setting.labels]
    reaction = rng.normal(0, setting.reaction, (3, setting.items))
    answers = [
        (rng.random((own.shape[0], setting.items)) < 1.0 / (1.0 + np.exp(-(difficulty + one + own)))).astype(np.float64)
        for own, one in zip((pre, second, third), reaction, strict=True)
    ]
    values = np.concatenate([answers[2] - np.concatenate([answers[1], answers[1]]), answers[1] - answers[0]])
    return ItemTable(values=values, clusters=setting.labels, span=(-1.0, 1.0))


def shared_parents(rng: np.random.Generator, repetitions: int) -> Iterator[FactorialRow]:
    """Two arms that share only some pre-training runs, as `harness compare A B` tests them."""
    items, clusters = SIZES[1]
    for shared, own in ((1, 2), (2, 1), (3, 2), (1, 4), (8, 2), (5, 5)):
        for name, luck in LUCK.items():
            setting = Setting(items=items, clusters=clusters, seeds=shared + own, luck=luck)
            plots = tuple([f"shared {k}" for k in range(shared)] + [f"{arm} {k}" for k in range(own)] for arm in "ab")
            errors = []
            for _ in range(repetitions):
                of_plots = {plot: rng.normal(0, luck[0]) for plot in dict.fromkeys([*plots[0], *plots[1]])}
                a, b = draw_arms(rng, setting, [[of_plots[plot] for plot in side] for side in plots])
                task = TaskScores(a=a, b=b, units=setting.labels, span=(0.0, 1.0))
                errors.append(compare_over_tasks([task], (plots[0], plots[1])).p <= 0.05)
            yield row("shared", setting, f"{shared} of {shared + own} shared, {name}", "difference", errors)


def draw_arms(rng: np.random.Generator, setting: Setting, luck: Sequence[Sequence[float]]) -> list[Array]:
    """Answers of two equal arms, given the luck of each run's pre-training run; shapes (runs, items)."""
    difficulty = rng.normal(0, 0.9, setting.items) + rng.normal(0, 0.6, setting.clusters)[setting.labels]
    arms = []
    for side in luck:
        reaction = rng.normal(0, 0.8 * setting.reaction, setting.items)
        reaction = reaction + rng.normal(0, 0.6 * setting.reaction, setting.clusters)[setting.labels]
        own = np.array(side)[:, None] + rng.normal(0, setting.luck[1], (len(side), 1))
        chances = 1.0 / (1.0 + np.exp(-(difficulty + reaction + own)))
        arms.append((rng.random(chances.shape) < chances).astype(np.float64))
    return arms


def margins(rng: np.random.Generator, repetitions: int) -> Iterator[FactorialRow]:
    """A true loss of exactly the margin, 10 points, in five and eight clusters; half the repetitions."""
    for clusters, seeds in itertools.product((5, 8), (3, 10)):
        for name, luck in LUCK.items():
            setting = Setting(items=20 * clusters, clusters=clusters, seeds=seeds, luck=luck)
            non_inferior, inferior = [], []
            for _ in range(max(20, repetitions // 2)):
                luck_of_runs = [rng.normal(0, luck[0], seeds).tolist() for _ in range(2)]
                a, b = draw_arms(rng, setting, luck_of_runs)
                # Both arms are right on half of the items, so that this adds 10 points to A.
                a = np.where(rng.random(a.shape) < 0.2, 1.0, a)
                task = TaskScores(a=a, b=b, units=setting.labels, span=(0.0, 1.0))
                test = compare_over_tasks([task], null=-0.1)
                of_loss, of_harm = both_sides(test.p, test.difference + 0.1)
                non_inferior.append(of_loss < 0.05)
                inferior.append(of_harm < 0.05)
            yield row("margin", setting, name, "non-inferior", non_inferior)
            yield row("margin", setting, name, "inferior", inferior)


def few_clusters(rng: np.random.Generator, repetitions: int) -> Iterator[FactorialRow]:
    """Five and eight clusters of items that react alike, for one task and overall for two; half the repetitions."""
    for clusters, seeds in itertools.product((5, 8), (1, 3, 10)):
        setting = Setting(items=20 * clusters, clusters=clusters, seeds=seeds, luck=LUCK["little luck"])
        single: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
        whole: dict[str, list[bool]] = {contrast: [] for contrast in SHOWN}
        for _ in range(max(20, repetitions // 2)):
            own = draw_luck(rng, setting) * (seeds > 1)
            tables = [draw_task(rng, setting, own, weight=0.5) for _ in range(2)]
            for contrast in SHOWN:
                single[contrast].append(misses(estimate_contrast(tables[:1], design(seeds), CONTRASTS[contrast])))
                whole[contrast].append(misses(estimate_contrast(tables, design(seeds), CONTRASTS[contrast])))
        for name, errors in (("one task", single), ("overall of two tasks", whole)):
            yield from (row("few", setting, name, contrast, hits) for contrast, hits in errors.items())


Study = Callable[[np.random.Generator, int], Iterator[FactorialRow]]
# Each study has a seed of its own, so that it can be run alone.
STUDIES: dict[str, tuple[int, Study]] = {
    "two-runs": (0, two_runs),
    "items": (1, items_only),
    **{
        f"null-{seeds}-{size[0]}": (start + n, functools.partial(null_studies, seeds=seeds, sizes=[size]))
        for seeds, start in ((3, 20), (5, 100), (10, 110))
        for n, size in enumerate(SIZES)
    },
    **{f"effects-{seeds}": (30 + seeds, functools.partial(true_effects, seeds=seeds)) for seeds in SEEDS},
    **{f"overall-{seeds}": (50 + seeds, functools.partial(overall_and_families, seeds=seeds)) for seeds in SEEDS},
    **{f"levels-{seeds}": (80 + seeds, functools.partial(levels_of_a_factor, seeds=seeds)) for seeds in SEEDS},
    "few": (6, few_clusters),
    "stages": (7, stage_chains),
    "shared": (8, shared_parents),
    "margin": (9, margins),
}


def simulate(scale: float, only: str | None = None, seed: int = 0) -> Iterator[tuple[str, FactorialRow]]:
    """Run the studies; `scale` multiplies the 2,000 repetitions of each setting, `seed` gives other random numbers."""
    for name, (number, study) in STUDIES.items():
        if only in (None, name):
            repetitions = max(20, round(2000 * scale))
            rows = list(study(np.random.default_rng((SEED, number, *((seed,) if seed else ()))), repetitions))
            if any(one.missed for one in rows):
                again = study(np.random.default_rng((SEED, number, seed, 1)), AGAIN * repetitions)
                rows = [new if old.missed else old for old, new in zip(rows, again, strict=True)]
            yield from ((name, one) for one in rows)


def table(study: str, rows: Sequence[FactorialRow]) -> str:
    """Return one study as a Markdown table of settings by contrast; cells that miss their target are bold."""
    own = [one for one in rows if one.study == study]
    contrasts = list(dict.fromkeys(one.contrast for one in own))
    lines = [f"**{TITLES[study]}**", "", "| seeds | items, clusters | setting | " + " | ".join(contrasts) + " |"]
    lines.append("|---:|---|---|" + "---:|" * len(contrasts))
    groups: dict[tuple[int, int, int, str], dict[str, FactorialRow]] = {}
    for one in own:
        groups.setdefault((one.seeds, one.items, one.clusters, one.setting), {})[one.contrast] = one
    for (seeds, items, clusters, setting), cells in sorted(groups.items(), key=lambda pair: pair[0][:3]):
        texts = [_cell(cells.get(contrast)) for contrast in contrasts]
        lines.append(f"| {seeds} | {items}, {clusters} | {setting} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell(one: FactorialRow | None) -> str:
    if one is None:
        return ""
    return f"**{one.percent:.1f}**" if one.missed else f"{one.percent:.1f}"


def write_docs(path: Path, rows: Sequence[FactorialRow]) -> None:
    """Replace the text between the markers."""
    begin, end = "<!-- factorial:begin -->", "<!-- factorial:end -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    met = sum(not one.missed for one in rows)
    summary = (
        f"{met} of {len(rows)} settings meet their target: at most 5.5, and with ten seeds or for statements about "
        f"items at least 3.5 too. The others are in bold. Monte Carlo error of a percentage: at most "
        f"{max(one.monte_carlo_error for one in rows):.1f}."
    )
    measured = {one.study for one in rows}
    body = "\n\n".join([summary, *(table(study, rows) for study in TITLES if study in measured)])
    path.write_text(f"{before}{begin}\n\n{body}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


def write(measured: Mapping[str, Sequence[FactorialRow]]) -> None:
    """Write the rows, in place of earlier rows of the same studies, and the tables of the page."""
    path = ROOT / "results" / "calibration_factorial.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    kept = [(line.pop("run"), FactorialRow(**line | {"target": tuple(line["target"])})) for line in lines]
    rows = [pair for pair in kept if pair[0] not in measured and pair[0] in STUDIES]
    rows += [(name, one) for name, own in measured.items() for one in own]
    rows.sort(key=lambda pair: list(STUDIES).index(pair[0]))
    path.write_text("".join(json.dumps({"run": name, **asdict(one)}) + "\n" for name, one in rows), encoding="utf-8")
    write_docs(ROOT.parent / "docs" / "statistics.md", [one for _, one in rows])


def measure(scale: float, only: str | None = None, seed: int = 0) -> dict[str, list[FactorialRow]]:
    """Run the studies and print their rows; return them by study."""
    measured: dict[str, list[FactorialRow]] = {}
    for name, one in simulate(scale, only, seed):
        measured.setdefault(name, []).append(one)
        place = f"S={one.seeds:<3} n={one.items:<5} k={one.clusters:<4}"
        print(f"{one.study:7} {place} {one.setting:36} {one.contrast:12} {one.percent:6.2f}", flush=True)
    rows = [one for own in measured.values() for one in own]
    print(f"{sum(not one.missed for one in rows)} of {len(rows)} targets met")
    return measured


def main() -> None:
    """Run the studies, and write rows and tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of repetitions")
    parser.add_argument("--only", choices=tuple(STUDIES), help="one study; the rows of the others are kept")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random numbers; files are written only if it is 0"
    )
    parser.add_argument("--no_docs", action="store_true", help="print the rows, write no files")
    arguments = parser.parse_args()
    measured = measure(arguments.scale, arguments.only, arguments.seed)
    if not arguments.no_docs and not arguments.seed:
        write(measured)


if __name__ == "__main__":
    main()

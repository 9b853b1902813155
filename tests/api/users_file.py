"""A file of a user's that type checkers must accept; nothing runs it.

`make lint` checks it against this folder, and a slow test against the wheel. The lines at the end are wrong on purpose:
in strict mode, mypy also reports an ``ignore`` that nothing needs.
"""

from pathlib import Path

import harness


def study(runs: Path) -> list[str]:
    """Use every function, and give each result a type."""
    stage = harness.train("stage.yaml", output_path=runs / "sft", overrides={"seed": 1})
    tokens: int = stage.manifest.tokens if stage.manifest else 0
    plan = harness.train("stage.yaml", dry_run=True, estimate=True)
    tables: tuple[str, ...] = plan.tables
    results = harness.evaluate(
        model=[stage, "org/name"],
        tasks="reasoning_mini",
        limit=40,
        dtype="float32",
        gen_kwargs={"temperature": 0.0},
        output_path=runs / "eval",
    )
    values: list[float] = results.frame()["value"].to_list()
    comparison = harness.compare(results, runs / "base", margin=0.02, correction="holm", tasks=["mini_*"])
    lines: tuple[str, ...] = comparison.headlines
    ranked: tuple[str, ...] = harness.leaderboard(runs, all=True).tables
    done = harness.run("study.yaml", output_path=runs / "study", jobs=2, overrides={"name": "b"})
    pages: list[Path] = list(done.pages.values())
    nodes = harness.run("study.yaml", output_path=runs / "study", dry_run=True).rows
    rows = len(harness.load(runs, tasks="mini_*").items())
    model = harness.lm_eval_models.load("hf", pretrained=stage, dtype="float32")
    model.close()
    return [*lines, *ranked, *tables, *map(str, (tokens, rows, values, pages, nodes))]


def mistakes() -> None:
    """Wrong in each line."""
    harness.evaluate(model="m", tasks="t", limt=3)  # type: ignore[call-arg]
    harness.evaluate(model="m", tasks="t", limit="many")  # type: ignore[arg-type]
    harness.evaluate(model="m")  # type: ignore[call-arg]
    harness.train("stage.yaml")  # type: ignore[call-overload]
    harness.compare("a", "b").headline  # type: ignore[attr-defined]  # noqa: B018
    harness.evalute  # type: ignore[attr-defined]  # noqa: B018

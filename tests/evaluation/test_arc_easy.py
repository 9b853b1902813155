"""ARC-Easy with a real model: lm-eval's values on the same items, in the same run, for our prompt and for lm-eval's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.paths import tasks_dir
from harness.suite.lm_eval_names import lm_eval_folder
from tests.conftest import HarnessCommand

OURS, LM_EVALS = "arc_easy_letter", "arc_easy_lm_eval"


@pytest.mark.parametrize("items", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_values_are_lm_evals(
    items: int,
    data_dir: Path,
    smollm2: Path,
    harness_here: HarnessCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    words = ["--model", smollm2, "--tasks", f"{OURS},{LM_EVALS}", "--limit", items]
    done = harness_here("eval", *words, "--dtype", "float32", "--output_path", tmp_path)
    assert done.returncode == 0, done.stderr
    ours = json.loads(next(tmp_path.rglob("results_*.json")).read_text(encoding="utf-8"))["results"]
    theirs = lm_evals_values(smollm2, items)
    for name, metrics in theirs.items():
        assert {"acc,none"} <= metrics.keys()
        for metric, value in metrics.items():
            exact = metric.startswith("acc")  # sums of log-likelihoods are rounded
            assert ours[name][metric] == (value if exact else pytest.approx(value, rel=1e-5)), (name, metric)


def lm_evals_values(model: Path, items: int) -> dict[str, dict[str, float]]:
    """Evaluate our definition, and lm-eval's own over our items, with lm-eval and its `hf` model."""
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
    loaded = manager.load([OURS, LM_EVALS])["tasks"]
    own: dict[str, Any] = load_yaml(lm_eval_folder() / "tasks/arc/arc_easy.yaml")
    own |= {"task": LM_EVALS, "validation_split": None, "custom_dataset": lambda **_: loaded[LM_EVALS].dataset}
    del own["dataset_path"], own["dataset_name"]
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model), "dtype": "float32"},
        tasks=[loaded[OURS], ConfigurableTask(config=own)],
        limit=items,
        batch_size=8,
        device="cpu",
        bootstrap_iters=0,
    )
    assert results is not None
    return {
        task: {key: value for key, value in values.items() if "," in key and "_stderr" not in key and value == value}
        for task, values in results["results"].items()
    }

"""`harness.run`: a study's plan, its run and its failure, in a process of its own, where the runner may fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.study.conftest import Study

SCRIPT = """
import json
import sys
from importlib import import_module

sys.path.insert(0, sys.argv[3])
import harness
from tests.study.forks import USED

for module in USED:
    import_module(module)
import_module("torch").set_num_threads(1)
experiment, output = sys.argv[1:3]
plan = harness.run(experiment, output_path=output, dry_run=True, no_estimate=True)
study = harness.run(experiment, output_path=output, executor="fork")
after = harness.run(experiment, output_path=output, dry_run=True, no_estimate=True)
failing = {"stages.base.fails": True}
try:
    harness.run(experiment, output_path=output + "-2", executor="fork", only="base", overrides=failing)
except harness.HarnessError as error:
    fault = str(error)
print(json.dumps({
    "plan": plan.frame()[["label", "state", "tokens"]].values.tolist(),
    "study": study.frame()[["label", "kind", "state"]].values.tolist(),
    "after": sorted(set(after.frame()["state"])),
    "pages": {label: str(page) for label, page in study.pages.items()},
    "models": [model.name for model in study.records().models],
    "html": study._repr_html_() + plan._repr_html_(),
    "panels": len({row["model"] for row in study.plot().to_dict()["data"]["values"]}),
    "fault": fault,
}))
"""


def test_a_study_as_a_function(study: Study, own_cache: Path) -> None:
    study.fields["factors"] = {"tune": {"N": 0, "C": 1}, "seed": [0]}
    study.fields["stages"]["base"]["data"]["code"] = 0
    study.write()
    output = study.folder / "out"
    site = os.environ["PYTHONPATH"].split(os.pathsep)[0]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(study.path), str(output), site],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "nothing is printed"
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    nodes = ["base-0", "tuned-N-0", "tuned-C-0", "eval-tuned-N-0", "eval-tuned-C-0", "compare", "leaderboard"]
    assert sorted(row[0] for row in told["plan"]) == sorted(row[0] for row in told["study"]) == sorted(nodes)
    assert {row[1] for row in told["plan"]} == {"ahead"}
    assert {row[0]: row[2] for row in told["plan"]}["base-0"] == 100
    assert {row[2] for row in told["study"]} == {"done"}
    assert told["after"] == ["done"]
    assert told["pages"]["compare"] == str(output / "compare.html")
    assert told["panels"] == len(told["models"]) == 2
    assert "tuned-C-0" in told["html"]
    assert told["fault"].startswith("failed: base-0. `harness status")
    assert "harness status" in told["fault"]

"""The experiments for a GPU are planned whole: on samples in each hub set's schema, with small models and budgets."""

from __future__ import annotations

import json
import re
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints import resolve
from harness.study.experiment import ExperimentSpec, read_experiment
from harness.trainers.data.schedules import normalised, preset_phases
from harness.trainers.stage.spec import parse
from harness.trainers.stage.tokenizers import load_tokenizer
from tests.conftest import ROOT, HarnessCommand
from tests.study.hub_samples import SAMPLES
from tests.synthetic import Project
from tests.trainers.helpers import CHAT_TEMPLATE, chat_model

EXPERIMENTS = ROOT / "experiments"
COMMIT = re.compile(r"[0-9a-f]{40}")
FEW_ITEMS = 'evaluate={"tasks": "mini_logic,mini_code_gen"}'


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")


def _hub_sources(spec: ExperimentSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each source from the hub, with the place of its name in the experiment file."""
    for stage, fields in spec.stages.items():
        for name, source in fields["data"]["sources"].items():
            if "hub" in source:
                yield f"stages.{stage}.data.sources.{name}.hub", source


def _dry_run(harness: HarnessCommand, name: str, folder: Path, *changes: str) -> str:
    """Plan an experiment with samples in place of its hub data sets; return what it printed."""
    words = []
    for place, source in _hub_sources(read_experiment(EXPERIMENTS / name)):
        sample = folder / source["hub"]
        if not sample.exists():
            SAMPLES[source["hub"]](sample)
        words.append(f"{place}={sample}")
    budgets = [f"stages.{stage}.data.budget_tokens=3000" for stage in read_experiment(EXPERIMENTS / name).stages]
    quick = ["--output_path", folder / "out", "--dry_run", "--no_estimate"]
    done = harness("run", EXPERIMENTS / name, *quick, *words, *budgets, *changes)
    assert done.returncode == 0, done.stderr
    assert not (folder / "out").exists()
    return done.stdout


@pytest.mark.parametrize("name", ["code_stage.yaml", "adapters.yaml"])
def test_hub_data_is_pinned_to_commits(name: str) -> None:
    sources = dict(_hub_sources(read_experiment(EXPERIMENTS / name)))
    assert sources
    for place, source in sources.items():
        assert COMMIT.fullmatch(source["revision"]), place


def test_schedules_with_equal_names_of_code_have_equal_shares_of_code() -> None:
    """The study's presets have 37.5% code, the others 25%, so that only the order of the tokens differs."""
    schedules = read_experiment(EXPERIMENTS / "code_stage.yaml").factors["schedule"]
    for name, level in schedules.items():
        if level["schedule"] == "stepwise":
            phases = preset_phases(level["preset"], ("text", "code"), level["code"])
        else:
            phases = [level["weights"]] if level["schedule"] == "static" else [level["start"], level["end"]]
        shares = [normalised(phase, ("text", "code"), name)[1] for phase in phases]
        expected = 0.375 if level["schedule"] == "stepwise" else 0.25
        assert sum(shares) / len(shares) == pytest.approx(expected, abs=0.001), name


def test_the_code_stage_study_is_planned(harness_here: HarnessCommand, tmp_path: Path) -> None:
    """One level of most factors; the slow test plans them all."""
    printed = _dry_run(
        harness_here, "code_stage.yaml", tmp_path, FEW_ITEMS, *SMALL,
        'factors.share={"25": {text: 3, code: 1}}', "factors.size=[tiny]", "factors.seed=[0]",
        "factors.schedule={increase: {schedule: stepwise, preset: increase, code: code}}",
        "compare={name: share, stage: tuned, design: [share, tune, size]}",
    )  # fmt: skip
    assert "tuned-25-C-tiny-0" in printed
    assert "tuned_by_schedule-increase-tiny-0" in printed
    assert "share-design" in printed
    # 25% code is trained once, although two stages name it: under the first name.
    assert "\nbase-25-tiny-0" in printed
    assert "quarter_base-tiny-0" not in printed


SMALL = [
    f"stages.{stage}.{field}"
    for stage in ("base", "scheduled_base", "quarter_base")
    for field in ("tokenizer.vocab_size=300", "tokenizer.sample_mb=1", "trainer.max_length=128")
]


@pytest.mark.slow
def test_the_whole_code_stage_study_is_planned(
    synthetic_project: Project, harness_here: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study needs more than a terabyte for its states; a test machine may have less."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**13, 0, 10**13))
    printed = _dry_run(harness_here, "code_stage.yaml", tmp_path, *SMALL)
    assert "0 of " in printed
    assert "schedule-in-tuning-design" in printed


def _adapters(harness: HarnessCommand, folder: Path, *changes: str) -> str:
    model = chat_model(folder / "instruct")
    small = [f"stages.{stage}.trainer.max_length=128" for stage in ("sft", "dpo", "kto")]
    return _dry_run(harness, "adapters.yaml", folder, f"stages.sft.from={json.dumps(str(model))}", *small, *changes)


def test_the_adapter_study_is_planned(harness_here: HarnessCommand, tmp_path: Path) -> None:
    """With one arm; the slow test plans both, with all tasks."""
    printed = _adapters(
        harness_here, tmp_path, FEW_ITEMS, "factors.tune={C: {text: 1, code: 1}}", "factors.seed=[0]", "compare=[]"
    )
    for node in ("sft-C-0", "dpo-C-0", "kto-C-0", "grpo-C-0", "overlap-grpo-C"):
        assert node in printed


def test_the_adapter_study_keeps_the_models_own_chat_template(tmp_path: Path) -> None:
    model = chat_model(tmp_path / "instruct")
    fields = read_experiment(EXPERIMENTS / "adapters.yaml").stages["sft"]
    data = {key: value for key, value in fields["data"].items() if key != "mixture"}
    spec = parse({**fields, "from": str(model), "seed": 0, "data": data}, "sft")
    assert load_tokenizer(spec, resolve(str(model)), [], None).chat_template == CHAT_TEMPLATE


@pytest.mark.slow
def test_the_whole_adapter_study_is_planned(
    synthetic_project: Project, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    printed = _adapters(harness_here, tmp_path)
    assert "grpo-design" in printed

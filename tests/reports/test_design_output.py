"""What `harness compare --design` prints: the worked example from records, all formats, warnings first."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.stats import holm
from harness.stats.noncentral import detectable_effect
from tests.factorial_example import expected_figures
from tests.reports.conftest import Command
from tests.reports.small_designs import FACTORS, answers, lineage, rows_of, write_study
from tests.reports.study_records import RunTask, write_design, write_study_run

KEYS = ("task", "contrast", "estimate", "se", "se_items", "se_seeds", "df", "low", "high", "p", "p_corrected", "mde")


def test_the_worked_example_is_reproduced_from_records(command: Command, example: Path) -> None:
    rows, expected = rows_of(command, "--design", example), expected_figures()
    assert rows.keys() == expected.keys()
    for key, figures in expected.items():
        assert set(KEYS) <= rows[key].keys()
        for name in ("estimate", "se", "se_items", "se_seeds"):
            assert rows[key][name] == pytest.approx(figures[name], abs=1e-4), (key, name)
        if key[1] not in ("NC-NN", "CC-CN") or figures["se_seeds"] > 0.0:  # for those see tests/stats/test_factorial.py
            for name in ("df", "low", "high", "p"):
                assert rows[key][name] == pytest.approx(figures[name], abs=1e-4), (key, name)


def test_p_is_corrected_within_each_family(command: Command, small: Path) -> None:
    rows = rows_of(command, "--design", small)
    for family, size in (("primary", 3), ("secondary", 6), ("exploratory", 12)):
        members = [row for row in rows.values() if row["family"] == family]
        assert len(members) == size
        assert [row["p_corrected"] for row in members] == pytest.approx(list(holm([row["p"] for row in members])))
        # No wild bootstrap here, so both effects are those of the noncentral t, the second at Holm's first step.
        for row in members:
            # The scale of overall, of tasks with chance 1/4, is 4/3 as long; an interaction is a difference of two.
            largest = (4 / 3 if row["task"] == "overall" else 1.0) * (2.0 if row["contrast"] == "interaction" else 1.0)
            for key, tests in (("mde", 1), ("mde_corrected", size)):
                effect = detectable_effect(row["se"], row["df"], alpha=0.05 / tests)
                assert row[key] == (pytest.approx(effect) if effect <= largest else None)
    assert {task for task, name in rows if rows[task, name]["family"] == "primary"} == {"overall"}


@pytest.mark.parametrize("kind", ["table", "md", "csv", "json", "latex", "html"])
def test_every_format_has_the_rows_and_the_same_bytes(kind: str, command: Command, small: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        assert command("compare", "--design", small, "--format", kind, "--output_path", file)[0] == 0
    text = files[0].read_text(encoding="utf-8")
    assert text == files[1].read_text(encoding="utf-8")
    for words in ("interaction", "CC-NC", "overall", "second"):
        assert words in text
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert set(KEYS) <= rows[0].keys()
        assert len(rows) == 21
    if kind == "html":
        # Main effects and interaction, overall and of two tasks; a screen and a phone have drawings of their own.
        assert text.count("<circle") == 2 * 9


def test_a_page_begins_with_every_primary_contrast_and_those_that_differ_first(
    command: Command, tmp_path: Path
) -> None:
    runs = []
    for p, t, seed in itertools.product((0, 1), (0, 1), range(3)):
        name = f"{p}{t}-{seed}"
        values = answers((p, t), seed, items=200, gain=0.4 * t - 0.2)
        write_study_run(tmp_path / "runs", name, {"logic": RunTask(values=values)})
        levels = {"pretrain": FACTORS["pretrain"][p], "tune": FACTORS["tune"][t]}
        runs.append({"run": f"runs/{name}", "parent": f"{p}-{seed}", "seed": seed} | levels)
    design = write_design(tmp_path / "design.yaml", FACTORS, runs)
    page = command("compare", "--design", design, "--format", "html")[1]
    headlines = re.findall(r'<p class="lead">(.*?)</p>', page)
    assert [one.partition(",")[0] for one in headlines] == ["tune", "pretrain", "interaction"]
    assert ["differs from 0." in one for one in headlines] == [True, False, False]
    assert ["does not differ significantly from 0." in one for one in headlines] == [False, True, True]
    assert page.count("interaction, overall: ") == 1


def test_charts_are_written(command: Command, small: Path, tmp_path: Path) -> None:
    code, _, err = command("compare", "--design", small, "--charts", tmp_path / "charts")
    assert code == 0, err
    assert (tmp_path / "charts" / "effects.svg").read_text().startswith("<svg")


def test_control_domains_have_rows_of_their_own_and_are_exploratory(command: Command, tmp_path: Path) -> None:
    """Three tasks outside the study's question; overall is that of `logic`."""
    domains = {"logic": "logic", "boolq": "general", "hellaswag": "general", "plain": "other"}
    runs = []
    for p, t, seed in itertools.product(*[(0, 1)] * 3):
        name = f"{'NC'[p]}{'NC'[t]}-{seed}"
        tasks = {task: RunTask(values=answers((p, t), seed + 10 * at), domain=domain)
                 for at, (task, domain) in enumerate(domains.items())}  # fmt: skip
        write_study_run(tmp_path / "runs", name, tasks)
        levels = {"pretrain": FACTORS["pretrain"][p], "tune": FACTORS["tune"][t]}
        runs.append({"run": f"runs/{name}", "parent": f"{p}-{seed}", "seed": seed} | levels)
    rows = rows_of(command, "--design", write_design(tmp_path / "design.yaml", FACTORS, runs))
    means = [rows[task, "tune"]["estimate"] for task in ("boolq", "hellaswag")]
    assert rows["general", "tune"]["estimate"] == pytest.approx(np.mean(means) / 0.75)
    assert rows["other", "tune"]["estimate"] == pytest.approx(rows["plain", "tune"]["estimate"] / 0.75)
    families = {task: rows[task, "tune"]["family"] for task in ("overall", "general", "other", *domains)}
    assert families == {
        "overall": "primary", "logic": "secondary", "general": "exploratory", "other": "exploratory",
        "boolq": "exploratory", "hellaswag": "exploratory", "plain": "exploratory",
    }  # fmt: skip


def test_unequal_training_tokens_are_stated_first(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    for name, links in lineages.items():
        for link in links:
            link["manifest"]["tokens"] = 60_000 if name[0] == "C" else 30_000
    design = write_study(tmp_path, lineages=lineages)
    words = " ".join(command("compare", "--design", design)[1].split())
    _, _, after = words.partition("Not trained on equally many tokens: ")
    assert after.startswith("NN 60k tokens, NC 60k tokens, CN 120k tokens")
    assert "interaction" in after, "it stands above the table"


def test_overlapping_items_are_left_out_of_a_second_table(command: Command, tmp_path: Path) -> None:
    """Files may be given for several arms: an item that is in any of them is left out."""
    design = write_study(tmp_path)
    files = [overlap_file(tmp_path / f"{n}.json", "first", items) for n, items in enumerate(([0, 1], [1, 2, 3]))]
    words = [word for file in files for word in ("--overlap", file)]
    _, out, _ = command("compare", "--design", design, *words, "--format", "json")
    tables = json.loads(out)["tables"]
    for row, clean in zip(tables["contrasts"], tables["contrasts_without"], strict=True):
        assert (row["task"], row["contrast"]) == (clean["task"], clean["contrast"])
        if row["task"] != "overall":
            assert row["items"] - clean["items"] == (4 if row["task"] == "first" else 0)
    main = next(row for row in tables["contrasts_without"] if (row["task"], row["contrast"]) == ("first", "pretrain"))
    cells = {
        (p, t): np.mean([answers((p, t), s, gain=0.2 * (p + t) - 0.2)[4:] for s in (0, 1)])
        for p in (0, 1)
        for t in (0, 1)
    }
    expected = (cells[1, 0] + cells[1, 1] - cells[0, 0] - cells[0, 1]) / 2
    assert main["estimate"] == pytest.approx(expected)


def overlap_file(path: Path, task: str, items: Sequence[int]) -> Path:
    hashes = [hashlib.sha256(f"{task} {item}".encode()).hexdigest() for item in items]
    rows = [{"task": task, "item": "", "doc_hash": digest} for digest in hashes]
    path.write_text(json.dumps({"tables": {"overlap": [{"task": "first"}, {"task": "second"}], "items": rows}}))
    return path


def test_the_first_screen_of_a_design_page_states_what_is_not_comparable(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    for name, links in lineages.items():
        for link in links:
            link["manifest"]["tokens"] = 60_000 if name[0] == "C" else 30_000
    design = write_study(tmp_path, lineages=lineages)
    command("compare", "--design", design, "--output_path", tmp_path / "page.html")
    header, _, _ = (tmp_path / "page.html").read_text(encoding="utf-8").partition("</header>")
    assert "Not trained on equally many tokens" in header

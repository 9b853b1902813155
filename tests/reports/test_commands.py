"""`harness compare` and `harness leaderboard` from the command line: numbers, formats, errors."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import stats
from tests.reports.conftest import Command, evaluate
from tests.reports.records_for_tests import write_run, write_run_of


def _samples(folder: Path, task: str) -> dict[str, dict[str, Any]]:
    """Rows of a samples file by doc_hash, read line by line as JSON."""
    text = next(folder.glob(f"samples_{task}_*.jsonl")).read_text(encoding="utf-8")
    return {row["doc_hash"]: row for row in map(json.loads, text.splitlines())}


def _json(command: Command, *words: object) -> Any:
    code, out, err = command(*words, "--format", "json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_the_numbers_of_a_comparison_are_those_of_harness_stats_on_the_paired_items(
    command: Command, runs: Path
) -> None:
    document = _json(command, "compare", runs / "corrupted", runs / "uniform", "--margin", "0.1")
    rows = {row["task"]: row for row in document["tables"]["differences"]}
    assert set(rows) == {"t_choice", "t_generate", "mini_logic"}
    p_values, margins = {}, {}
    for task, row in rows.items():
        metric = "exact_match" if task == "t_generate" else "acc"
        a, b = _samples(runs / "corrupted", task), _samples(runs / "uniform", task)
        clusters = [one["doc"]["template"] for one in a.values()] if task == "mini_logic" else None
        first, second = [one[metric] for one in a.values()], [b[key][metric] for key in a]
        test = stats.compare_paired(first, second, clusters)
        harm = stats.non_inferiority(first, second, margin=0.1, clusters=clusters)
        p_values[task] = test.p
        assert row["interval"] == [test.low, test.high]
        for key in ("items", "difference", "p", "gained", "lost"):
            assert row[key] == getattr(test, key)
        assert row["detectable"] == test.minimum_detectable_effect
        assert row["margin_p"] == harm.p
        margins[task] = harm
    # Overall first: the p of a task is never below that of all tasks together.
    (overall,) = [row for row in document["tables"]["overall"] if row["domain"] == "overall"]
    assert overall["p_corrected"] == overall["p"]
    corrected = np.maximum(stats.correct(list(p_values.values())), overall["p"])
    assert [rows[task]["p_corrected"] for task in p_values] == pytest.approx(list(corrected))
    harm_overall = overall["margin_p"]  # one-sided; two-sided for a loss beyond the margin
    inferior_overall = 2.0 * (1.0 - harm_overall) if harm_overall > 0.5 else 1.0
    safe = stats.hochberg([*(one.p for one in margins.values()), harm_overall]) < 0.05
    harmful = stats.hochberg([*(one.p_inferior for one in margins.values()), inferior_overall]) < 0.05
    expected = np.select([safe, harmful], ["non-inferior", "inferior"], "inconclusive").tolist()
    assert [*(rows[task]["conclusion"] for task in margins), overall["conclusion"]] == expected


def test_the_ranking_is_that_of_harness_stats_on_the_same_items(command: Command, runs: Path) -> None:
    document = _json(command, "leaderboard", runs)
    models = ["corrupted", "oracle", "uniform"]
    scores, clusters = [], []
    for task, metric in (("mini_logic", "acc"), ("t_choice", "acc"), ("t_generate", "exact_match")):
        tables = [_samples(runs / model, task) for model in models]
        scores.append([[table[key][metric] for key in tables[0]] for table in tables])
        named = task == "mini_logic"
        clusters.append([row["doc"]["template"] for row in tables[0].values()] if named else None)
    ranking = stats.rank_models(
        scores, domains=["logic", "logic", "code_gen"], chances=[0.25, 0.25, 0.0], clusters=clusters
    )
    rows = {row["model"]: row for row in document["tables"]["leaderboard"]}
    for index, model in enumerate(models):
        assert rows[model]["overall"] == pytest.approx(float(ranking.values[index]))
        assert rows[model]["standard_error"] == pytest.approx(float(ranking.standard_errors[index]))
        assert rows[model]["ranks"] == [ranking.rank_low[index], ranking.rank_high[index]]
        assert rows[model]["rank"] == ranking.ranks[index]
    assert stats.AGGREGATE in " ".join(document["notes"])


@pytest.mark.parametrize("kind", ["table", "md", "csv", "json", "latex", "html"])
@pytest.mark.parametrize("name", ["compare", "leaderboard"])
def test_the_same_records_give_the_same_bytes(
    name: str, kind: str, command: Command, runs: Path, tmp_path: Path
) -> None:
    words = [runs] if name == "leaderboard" else [runs / "oracle", runs / "uniform"]
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        assert command(name, *words, "--format", kind, "--output_path", file)[0] == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(files[0].read_bytes()) > 100


def test_the_ending_of_the_file_selects_the_format(command: Command, runs: Path, tmp_path: Path) -> None:
    assert command("leaderboard", runs, "--output_path", tmp_path / "board.csv")[0] == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "board.csv").read_text())))
    assert rows[0]["model"] == "oracle"
    assert {"ranks_low", "ranks_high", "logic", "code_gen"} <= set(rows[0])


def test_names_are_looked_up_below_runs_and_a_baseline_comes_first(command: Command, runs: Path) -> None:
    document = _json(command, "compare", "oracle", "uniform", "corrupted", "--runs", runs, "--baseline", "corrupted")
    assert document["title"] == "2 models against corrupted"
    assert [row["arm"] for row in document["tables"]["differences"]][::3] == ["oracle", "uniform"]


def test_there_is_one_standard_error_for_one_number(command: Command, runs: Path, failed_run: Path) -> None:
    """The table of eval, the record, the frames and the leaderboard: the clustered one, not lm-eval's."""
    from harness.records import load, results_frame

    folder = failed_run / "uniform"  # items are missing, so that clusters are uneven and the two errors differ
    samples = _samples(folder, "mini_logic").values()
    expected = stats.estimate_mean([one["acc"] for one in samples], [one["doc"]["template"] for one in samples])
    results = json.loads(next(folder.glob("results_*.json")).read_text(encoding="utf-8"))
    assert results["results"]["mini_logic"]["acc_stderr,none"] != pytest.approx(expected.standard_error, rel=1e-3)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["tasks"]["mini_logic"]["stderr"] == pytest.approx(expected.standard_error)
    (domain,) = [one for one in record["aggregate"]["reasoning"]["domains"] if one["domain"] == "logic"]
    frame = results_frame(load([failed_run]).models).set_index(["model", "task", "metric"])["stderr"]
    assert frame["uniform", "mini_logic", "acc"] == pytest.approx(expected.standard_error)
    choice = frame["uniform", "t_choice", "acc"]
    assert domain["mean_error"] == pytest.approx((expected.standard_error**2 + choice**2) ** 0.5 / 2)
    board = _json(command, "leaderboard", runs / "oracle", failed_run, "--tasks", "mini_logic")
    (row,) = [one for one in board["tables"]["leaderboard"] if one["model"] == "uniform"]
    assert row["standard_error"] == pytest.approx(expected.standard_error / 0.75)


def test_several_seeds_of_a_recipe_are_one_arm(
    command: Command, runs: Path, report_tasks: Path, tmp_path: Path
) -> None:
    for name in ("second", "third"):  # a copy under another name, so that it counts as another run
        folder = Path(shutil.copytree(runs / "uniform", tmp_path / name))
        for file in folder.glob("*.json*"):
            if not file.is_symlink():
                file.write_text(file.read_text(encoding="utf-8").replace("script:uniform", f"script:{name}"))
        (folder / "run.json").unlink()
    document = _json(
        command, "compare", f"one={runs / 'corrupted'},{runs / 'oracle'}",
        f"two={tmp_path / 'second'},{tmp_path / 'third'}", "--tasks", "t_choice",
    )  # fmt: skip
    (row,) = document["tables"]["differences"]
    values = [[one["acc"] for one in _samples(runs / m, "t_choice").values()] for m in ("corrupted", "oracle")]
    other = [one["acc"] for one in _samples(tmp_path / "second", "t_choice").values()]
    test = stats.compare_arms(values, [other, other])
    assert row["difference"] == pytest.approx(test.difference)
    assert row["interval"] == pytest.approx([test.low, test.high])
    assert row["seed_error"] == pytest.approx(test.seed_error)


def test_items_of_failed_requests_are_left_out_counted_and_noted(
    command: Command, runs: Path, failed_run: Path
) -> None:
    document = _json(command, "compare", runs / "corrupted", failed_run / "uniform", "--tasks", "t_choice")
    (row,) = document["tables"]["differences"]
    assert row["items"] == len(_samples(failed_run / "uniform", "t_choice")) < 24
    notes = " ".join(document["notes"])
    assert "requests failed; their items are left out, not scored 0" in notes
    assert "that only one side answered are left out" in notes
    board = _json(command, "leaderboard", runs / "corrupted", failed_run)
    assert next(r for r in board["tables"]["leaderboard"] if r["model"] == "uniform")["failed"] > 0


def test_only_the_latest_run_counts_unless_all_are_requested(
    command: Command, report_tasks: Path, tmp_path: Path
) -> None:
    evaluate(tmp_path, report_tasks, "--model", "oracle", "uniform", names="t_choice")
    evaluate(tmp_path, report_tasks, "--model", "uniform", names="t_choice")
    assert len(_json(command, "leaderboard", tmp_path)["tables"]["leaderboard"]) == 2
    assert len(_json(command, "leaderboard", tmp_path, "--all")["tables"]["leaderboard"]) == 3


def test_other_prompts_are_refused_and_compared_with_a_note_under_force(
    command: Command, runs: Path, report_tasks: Path, tmp_path: Path
) -> None:
    evaluate(tmp_path, report_tasks, "--model", "uniform", "--num_fewshot", "2", names="t_choice")
    words = ("compare", runs / "oracle", tmp_path / "uniform", "--tasks", "t_choice")
    code, _, err = command(*words)
    assert code == 2
    for part in ("few-shot", "24 of 24 items have other prompts", "--force"):
        assert part in err
    assert "--force" in " ".join(_json(command, *words, "--force")["notes"])


def _truncated_results(runs: Path) -> str:
    file = next((runs / "uniform").glob("results_*.json"))
    file.write_bytes(file.read_bytes()[:-200])
    return file.name


def _truncated_samples(runs: Path) -> str:
    file = next((runs / "uniform").glob("samples_t_choice_*.jsonl"))
    file.write_bytes(file.read_bytes()[:-20])
    return file.name


def _missing_line(runs: Path) -> str:
    file = next((runs / "uniform").glob("samples_t_choice_*.jsonl"))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    return file.name


def _broken_line(runs: Path) -> str:
    file = next((runs / "uniform").glob("samples_t_choice_*.jsonl"))
    file.write_bytes(file.read_bytes().replace(b'"filter": "none"', b'"filter": none', 1))
    return file.name


@pytest.mark.parametrize("damage", [_truncated_results, _truncated_samples, _missing_line, _broken_line])
def test_a_damaged_file_is_named_and_can_be_left_out(
    damage: Callable[[Path], str], command: Command, runs: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(runs, tmp_path / "runs", symlinks=True))
    name = damage(copy)
    code, _, err = command("leaderboard", copy)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert name in err
    assert "--skip_broken" in err
    code, out, _ = command("leaderboard", copy, "--skip_broken")
    assert code == 0
    assert "Left out as broken" in out
    assert name in out


def _two_empty(runs: Path, empty: Path) -> list[object]:
    return ["compare", "oracle", "uniform", "--runs", empty]


def test_a_run_with_only_failed_requests_is_not_replaced_by_an_older_successful_run(
    command: Command, report_tasks: Path, tmp_path: Path
) -> None:
    evaluate(tmp_path, report_tasks, "--model", "oracle", "uniform", "corrupted", names="t_choice,t_generate")
    words = ("--model_args", "missing=1.0", "--allow_failures", "900")
    evaluate(tmp_path, report_tasks, "--model", "uniform", *words, names="t_choice")
    board = _json(command, "leaderboard", tmp_path)
    assert "Left out, not run by uniform (every request failed): t_choice." in board["notes"]
    failed = {row["model"]: row["failed"] for row in board["tables"]["leaderboard"]}
    assert failed["uniform"] > 0 == failed["oracle"]
    narrow = _json(command, "leaderboard", tmp_path, "--tasks", "t_choice")
    assert [row["model"] for row in narrow["tables"]["leaderboard"]] == ["oracle", "corrupted"]
    assert any(note.startswith("Left out: uniform, every request") for note in narrow["notes"])
    evaluate(tmp_path, report_tasks, "--model", "uniform", names="t_choice")
    assert len(_json(command, "leaderboard", tmp_path, "--tasks", "t_choice")["tables"]["leaderboard"]) == 3


def test_rows_show_what_was_forced_and_what_failed(
    command: Command, runs: Path, report_tasks: Path, tmp_path: Path
) -> None:
    evaluate(tmp_path, report_tasks, "--model", "uniform", "--num_fewshot", "2", names="t_choice")
    words = ("compare", runs / "oracle", tmp_path / "uniform", "--tasks", "t_choice", "--force", "--format", "csv")
    code, out, _ = command(*words)
    (row,) = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert "few-shot" in row["forced"]
    assert float(row["standard_error"]) > 0
    assert (row["failed_arm"], row["clusters"]) == ("0", "24")
    assert 0 <= float(row["p_exact"]) <= 1
    table = command(*words[:-1], "md")[1]
    assert "p_exact" not in table.splitlines()[4]


def test_with_the_leader_as_baseline_p_is_corrected_for_all_pairs(runs: Path) -> None:
    from harness.records import load
    from harness.reports.analysis.domains import board_estimates
    from harness.reports.analysis.intervals import IntervalCache
    from harness.reports.analysis.leaderboard import rank
    from harness.reports.documents.leaderboard import leaderboard_document
    from harness.reports.page.report import BoardParts, leaderboard_report

    board, intervals = rank(load([runs]).models), IntervalCache()
    estimates = board_estimates(board, intervals)
    document = leaderboard_document(board, estimates, "harness leaderboard")
    parts = BoardParts(board=board, estimates=estimates, document=document, intervals=intervals)
    report = leaderboard_report(parts, runs=[str(runs)])
    tested = [one for one in report.comparison.differences if one.p is not None]
    # Two arms, each with three tasks and their overall value: 8 tests; three of the models' pairs could be among them.
    assert report.comparison.tests == (len(tested) + 2) * 3 // 2
    for arm in report.comparison.arms[1:]:
        (top,) = [part for part in report.comparison.overall[arm.name] if part.domain == "overall"]
        assert top.p_corrected == pytest.approx(min(1.0, 3 * (top.p or 0.0)))
        own = [one for one in tested if one.arm == arm.name]
        within = np.minimum(1.0, 3 * stats.holm([one.p or 0.0 for one in own]))
        assert [one.p_corrected for one in own] == pytest.approx(np.maximum(within, top.p_corrected or 0.0).tolist())


def test_a_dose_gives_the_slope_over_the_arms(command: Command, runs: Path) -> None:
    words = ("compare", runs / "corrupted", runs / "uniform", runs / "oracle", "--doses", "0,0.5,1")
    document = _json(command, *words)
    slopes = {row["task"]: row for row in document["tables"]["slopes"]}
    values = [
        [one["acc"] for one in _samples(runs / m, "t_choice").values()] for m in ("corrupted", "uniform", "oracle")
    ]
    test = stats.dose_response([0, 0.5, 1], values)
    row = slopes["t_choice"]
    assert (row["slope"], row["p"], row["runs"]) == (pytest.approx(test.slope), test.p, 3)
    assert row["interval"] == pytest.approx([test.low, test.high])
    assert any("the smallest here is 0.333" in note for note in document["notes"])


def test_every_report_names_a_stage_that_saw_evaluation_data(command: Command, runs: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs, tmp_path / "runs", symlinks=True))
    manifest = {"name": "tuned", "sources": [{"name": "s", "eval_data": ["gsm8k_test"]}]}
    file = next((copy / "oracle").glob("run_*.json"))
    record = json.loads(file.read_text(encoding="utf-8"))
    record["model"]["lineage"] = [{"name": "oracle", "location": "x", "digest": "d", "manifest": manifest}]
    file.write_text(json.dumps(record), encoding="utf-8")
    warning = "oracle was trained on evaluation data (tuned): gsm8k_test."
    for words in (("leaderboard", copy), ("compare", copy / "uniform", copy / "oracle")):
        assert warning in _json(command, *words)["notes"]
        assert warning in command(*words)[1]


BAD_INPUT: dict[str, tuple[Callable[[Path, Path], list[object]], list[str]]] = {
    "no runs below a folder": (lambda r, t: ["leaderboard", t], ["no runs found", "results_<time>.json"]),
    "no such folder": (lambda r, t: ["leaderboard", t / "gone"], ["gone", "no such run folder"]),
    "no runs to look up in": (_two_empty, ["no runs found"]),
    "one model only, compare": (lambda r, t: ["compare", r / "oracle"], ["only one model"]),
    "one model only, leaderboard": (lambda r, t: ["leaderboard", r / "oracle"], ["only one model"]),
    "the same run twice": (lambda r, t: ["compare", r / "oracle", r / "oracle"], ["named twice"]),
    "an unknown name": (lambda r, t: ["compare", "oracl", "uniform", "--runs", r], ["oracl", "Did you mean oracle"]),
    "a name without --runs": (lambda r, t: ["compare", "oracle", "uniform"], ["oracle", "--runs DIR"]),
    "a folder of several models": (lambda r, t: ["compare", r, r / "oracle"], ["holds 3 models"]),
    "an unknown task": (lambda r, t: ["leaderboard", r, "--tasks", "t_choise"], ["t_choise", "t_choice"]),
    "a margin of 0": (lambda r, t: ["compare", r / "oracle", r / "uniform", "--margin", "0"], ["--margin", "0.02"]),
    "a margin that no accuracy reaches": (
        lambda r, t: ["compare", r / "oracle", r / "uniform", "--margin", "1.5"],
        ["--margin 1.5: the values of mini_logic, t_choice, t_generate lie between 0 and 1"],
    ),
    "output is a folder": (lambda r, t: ["leaderboard", r, "--output_path", t], ["--output_path"]),
    "seeds on one side": (
        lambda r, t: ["compare", f"a={r / 'oracle'},{r / 'corrupted'}", r / "uniform"],
        ["two or more runs on both sides"],
    ),
    "two arms of one name": (
        lambda r, t: ["compare", f"a={r / 'oracle'}", f"b={r / 'uniform'}", f"b={r / 'corrupted'}"],
        ["b: two arms have this name"],
    ),
    "doses for other models": (
        lambda r, t: ["compare", r / "oracle", r / "uniform", "--doses", "0,1,2"],
        ["--doses 0,1,2", "each of the 2 models"],
    ),
    "doses that are not numbers": (
        lambda r, t: ["compare", r / "oracle", r / "uniform", "--doses", "none,all"],
        ["--doses none,all", "numbers"],
    ),
    "a name without runs": (lambda r, t: ["compare", "a=", r / "uniform"], ["NAME=run1,run2"]),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(name: str, command: Command, runs: Path, tmp_path: Path) -> None:
    make, expected = BAD_INPUT[name]
    empty = tmp_path / "empty"
    empty.mkdir()
    code, out, err = command(*make(runs, empty))
    assert (code, out) == (2, ""), err
    assert len(err.strip().splitlines()) == 1, err
    for part in expected:
        assert part in err


def test_no_common_tasks_and_no_common_items_are_errors(command: Command, report_tasks: Path, tmp_path: Path) -> None:
    from tests.tasks_for_tests import write_tasks

    evaluate(tmp_path / "a", report_tasks, "--model", "oracle", names="t_choice")
    evaluate(tmp_path / "b", report_tasks, "--model", "uniform", names="t_generate")
    code, _, err = command("compare", tmp_path / "a", tmp_path / "b")
    assert code == 2
    assert "no task in common" in err
    other = write_tasks(tmp_path / "tasks")
    items = (other / "items.jsonl").read_text(encoding="utf-8").replace("animal", "beast")
    (other / "items.jsonl").write_text(items, encoding="utf-8")
    evaluate(tmp_path / "c", other, "--model", "uniform", names="t_choice")
    for words in (("compare", tmp_path / "a", tmp_path / "c"), ("leaderboard", tmp_path / "a", tmp_path / "c")):
        code, _, err = command(*words)
        assert code == 2
        assert "no item" in err


def test_a_leaderboard_has_a_page_whenever_it_has_a_table(command: Command, tmp_path: Path) -> None:
    """A task that only two of three models ran, in two versions, is not on the board and must not prevent the page."""
    for model, right in (("a", range(9)), ("b", range(12))):
        write_run_of(tmp_path, model, {"x": right, "y": right})
    write_run_of(tmp_path, "c", {"x": range(15)})
    results = next((tmp_path / "b").glob("results_*.json"))
    written = json.loads(results.read_text())
    written["versions"]["y"] = 2
    results.write_text(json.dumps(written))
    assert command("leaderboard", tmp_path)[0] == 0
    code, _, err = command("leaderboard", tmp_path, "--output_path", tmp_path / "board.html")
    assert code == 0, err


def test_with_several_seeds_no_conclusion_contradicts_its_interval(command: Command, tmp_path: Path) -> None:
    rng, inferior = np.random.default_rng(2), 0
    for number in range(12):
        base, loss = rng.random(60) < 0.6, rng.uniform(0.0, 0.35)
        for run in range(3):
            for recipe, lost in (("a", 0.0), ("b", loss)):
                right = np.flatnonzero(base & (rng.random(60) >= lost) | (rng.random(60) < 0.05))
                write_run(tmp_path / str(number), f"{recipe}{run}", right.tolist(), items=60)
        folder = tmp_path / str(number)
        words = [f"{r.upper()}=" + ",".join(str(folder / f"{r}{run}") for run in range(3)) for r in "ab"]
        code, out, err = command("compare", *words, "--margin", "0.02", "--format", "json")
        assert code == 0, err
        (row,) = json.loads(out)["tables"]["differences"]
        if row["conclusion"] == "inferior":
            assert row["interval"][1] < -0.02
            inferior += 1
    assert inferior, "some losses are large enough to be found"


def test_a_file_with_an_ending_of_no_format_is_refused(command: Command, runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "board.docx"
    code, _, err = command("leaderboard", runs, "--output_path", file)
    assert code == 2
    assert "no format has the ending .docx; give one of .md, .csv, " in err
    assert not file.exists()
    assert command("leaderboard", runs, "--output_path", file, "--format", "md")[0] == 0

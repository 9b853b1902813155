"""What is not comparable stands above the tables, in every format: tokens, cuts, engines, what --force overruled."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.records import ModelRecords
from harness.reports.analysis.comparability import caveats_of
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm, Comparison
from harness.reports.analysis.leaderboard import rank
from harness.reports.commands.terminal import plain
from harness.reports.documents import tables
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.latex import latex
from harness.reports.documents.latex_text import escaped
from harness.reports.page.html import render
from harness.reports.page.report import comparison_report
from tests.reports.models_for_tests import Floats, link, model, tuned, versus


def not_comparable(**fields: Any) -> Comparison:
    """Two arms with unequal tokens, engines, dtypes and cut inputs."""
    ones = {"t": np.ones(30)}
    one, other = fields | {"engine": "hf", "dtype": "float32"}, fields | {"engine": "vllm", "dtype": "bfloat16"}
    first = model("a", ones, lineage=tuned("a", "p", tokens=59_000), max_length="512", **one)
    second = model("b", ones, lineage=tuned("b", "p", tokens=29_000), truncated=3, **other)
    return versus([first], [second])


CAVEATS = ("A 60k tokens, B 30k tokens", "truncated to fit the model: B 3", "hf: A; vllm: B", "float32: A")
FORMATS = {
    "md": (tables.markdown, "| task |"),
    "json": (tables.json, '"tables": {'),
    "latex": (latex, r"\begin{table}"),
    "table": (plain, "domain  task  metric"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_not_comparable_stands_above_the_table(kind: str) -> None:
    write, table = FORMATS[kind]
    text = write(comparison_document(not_comparable(), "harness compare"))
    for part in CAVEATS:
        assert -1 < text.find(part) < text.index(table), part


def test_what_is_not_comparable_stands_above_the_tables_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").touch()  # no answer differs, so the page shows no item
    comparison = not_comparable(samples=tmp_path / "samples.jsonl")
    page = render(comparison_report(comparison, comparison_document(comparison, "harness compare")))
    for part in CAVEATS:
        assert -1 < page.find(part) < page.index("<table"), part


def test_what_is_not_comparable_is_the_first_cell_of_each_csv_row() -> None:
    header, *rows = csv.reader(tables.csv(comparison_document(not_comparable(), "harness compare")).splitlines())
    assert header[0] == "not_comparable"
    assert rows
    for cells in rows:
        assert all(part in cells[0] for part in CAVEATS)


def test_equal_training_and_settings_have_no_caveat() -> None:
    ones: Mapping[str, Floats] = {"t": np.ones(30)}
    sides = [[model(name, ones, lineage=tuned(name, "p"))] for name in "ab"]
    assert versus(*sides).caveats == ()
    assert "Caution" not in tables.markdown(comparison_document(versus(*sides), ""))


TOKENS = {
    "equal": ([400_128, 400_128], "Each run was trained on 401,128 tokens."),
    "within a sequence": (
        [400_128, 399_900],
        "Each run was trained on 400,900 to 401,128 tokens; the runs agree within one sequence in each stage.",
    ),
    "within 1%": ([400_128, 398_000], "Each run was trained on 399,000 to 401,128 tokens; the runs agree within 1%."),
}


@pytest.mark.parametrize("case", TOKENS)
@pytest.mark.parametrize("kind", FORMATS)
def test_how_closely_training_tokens_agree_stands_above_the_tables(case: str, kind: str) -> None:
    counts, sentence = TOKENS[case]
    document = comparison_document(versus(*([one] for one in _of_tokens(counts))), "")
    write, table = FORMATS[kind]
    text = write(document).replace(r"\%", "%")
    assert -1 < text.find(sentence) < text.index(table)


@pytest.mark.parametrize("counts", [[400_000, 300_000], [400_000, None]])
def test_unequal_or_unknown_tokens_are_not_said_to_agree(counts: list[int | None]) -> None:
    comparison = versus(*([one] for one in _of_tokens(counts)))
    assert comparison.agreements == ()
    assert len(comparison.caveats) == 1


def test_an_arm_of_unknown_tokens_is_named_and_hides_no_difference_of_the_others() -> None:
    a, b = _of_tokens([60_000, 30_000])
    unknown = model("hub", {"t": np.ones(30)})
    assert caveats_of({"text": [a], "code": [b], "hub": [unknown]}) == (
        "Not trained on equally many tokens: text 61k tokens, code 31k tokens. "
        "A difference may come from the tokens alone.",
        "Training tokens are not recorded: hub (1 of 1 runs). They may differ from the others.",
    )
    assert caveats_of({"text": [unknown], "hub": [unknown]}) == ()


def test_a_run_of_unknown_tokens_does_not_make_runs_that_agree_unequal() -> None:
    """12,000 and 12,200 tokens agree within one sequence; of the third run nothing is known."""
    a, b = _of_tokens([11_000, 11_200])
    unknown = model("hub", {"t": np.ones(30)})
    arms = [Arm(name=name, models=(one,)) for name, one in zip("ABC", (a, b, unknown), strict=True)]
    comparison = compare(arms)
    assert comparison.agreements == ()
    assert comparison.caveats == (
        "Training tokens are not recorded: C (1 of 1 runs). They may differ from the others.",
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_what_was_forced_stands_above_the_tables_once(kind: str) -> None:
    columns = {"t": np.ones(30), "u": np.zeros(30)}
    sides = [[model(name, columns, num_fewshot=shots)] for name, shots in (("a", 0), ("b", 5))]
    document = comparison_document(versus(*sides, force=True), "")
    sentence = "t, u: number of few-shot examples differs (0: a; 5: b); compared anyway (--force)."
    write, table = FORMATS[kind]
    text = write(document)
    assert document.caveats == (sentence,)
    shown = escaped(sentence) if kind == "latex" else sentence
    assert -1 < text.find(shown) < text.index(table)
    assert not any("anyway" in note for note in document.notes)


def test_a_forced_leaderboard_says_so_above_its_table() -> None:
    board = rank(
        [model(name, {"t": np.ones(30)}, num_fewshot=shots) for name, shots in (("a", 0), ("b", 5))], force=True
    )
    assert board.caveats == ("t: number of few-shot examples differs (0: a; 5: b); ranked anyway (--force).",)
    assert not any("anyway" in note for note in board.notes)


def test_a_leaderboard_on_few_common_items_says_so_first_and_names_the_short_run() -> None:
    long = [model(name, {"t": np.tile([0.0, 1.0], 15)}) for name in ("a", "b")]
    assert rank([*long, model("c", {"t": np.tile([0.0, 1.0], 10)})]).caveats == ()
    assert rank([*long, model("c", {"t": np.ones(6)})]).caveats == (
        "Ranked on 6 of 30 items, those that every model answered; c has the fewest. Leave it out to rank the others "
        "on more.",
    )


def test_tokens_of_runs_are_compared_not_their_means() -> None:
    (low, high), (one, two) = _of_tokens([20_000, 60_000]), _of_tokens([40_000, 40_000])
    assert caveats_of({"text": [low, high], "code": [one, two]}) == (
        "Not trained on equally many tokens: text 21k to 61k tokens, code 41k tokens. "
        "A difference may come from the tokens alone.",
    )


def test_short_runs_that_agree_within_one_sequence_are_comparable() -> None:
    """200 tokens are 2% of so short a run, and less than one sequence."""
    comparison = versus(*([one] for one in _of_tokens([11_000, 11_200])))
    assert comparison.caveats == ()
    assert comparison.agreements == (
        "Each run was trained on 12,000 to 12,200 tokens; the runs agree within one sequence in each stage.",
    )


def _stage(tokens: int, parents: Sequence[str] = ("p0", "p1")) -> tuple[list[ModelRecords], list[ModelRecords]]:
    """Two parents of 1,000 tokens, and a model trained further from each of `parents`."""
    before = [model(name, {"t": np.ones(30)}, lineage=[link(name)]) for name in ("p0", "p1")]
    after = [
        model(f"m{number}", {"t": np.ones(30)}, lineage=tuned(f"m{number}", parent, tokens=tokens))
        for number, parent in enumerate(parents)
    ]
    return before, after


def test_a_stage_has_more_tokens_than_its_parents_and_the_document_says_how_many() -> None:
    comparison = versus(*_stage(tokens=50_000))
    assert comparison.caveats == ()
    assert comparison.agreements == (
        "One side continues the other with 50k tokens more; the sides' tokens differ by that training only.",
    )


def test_parents_and_models_trained_from_them_in_one_arm_are_a_caveat() -> None:
    (parent, other), (trained, of_other) = _stage(tokens=50_000)
    comparison = versus([parent, of_other], [other, trained])
    assert comparison.agreements == ()
    assert comparison.caveats[0].startswith("Not trained on equally many tokens: A 1k to 51k tokens, B 1k to 51k")
    arms = [Arm(name=name, models=(one,)) for name, one in zip("ABC", (parent, other, trained), strict=True)]
    assert "One side continues the other" in compare(arms[::2]).agreements[0]
    assert compare(arms).agreements == ()  # B has no descendant


def test_arms_of_parents_only_and_of_models_trained_from_them_only_are_two_sides() -> None:
    (parent, other), (trained, of_other) = _stage(tokens=50_000)
    models = (parent, other, trained, of_other)
    comparison = compare([Arm(name=name, models=(one,)) for name, one in zip("ABCD", models, strict=True)])
    assert comparison.caveats == ()
    assert comparison.agreements[0].startswith("One side continues the other with 50k tokens more;")


@pytest.mark.parametrize("parents", [("p0", "elsewhere"), ("elsewhere", "elsewhere")])
def test_more_tokens_than_other_parents_are_a_caveat(parents: Sequence[str]) -> None:
    comparison = versus(*_stage(tokens=50_000, parents=parents))
    assert comparison.agreements == ()
    assert comparison.caveats[0].startswith("Not trained on equally many tokens")


def _of_tokens(counts: Sequence[int | None]) -> list[ModelRecords]:
    """Models tuned on these numbers of tokens, in sequences of 256, from parents of 1,000 tokens."""
    models = []
    for name, tokens in zip("ab", counts, strict=True):
        links = tuned(name, f"p{name}")
        links[0]["manifest"] |= {"tokens": tokens, "arguments": {"max_length": 256}}
        models.append(model(name, {"t": np.ones(30)}, lineage=links))
    return models

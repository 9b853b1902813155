"""Mistakes in a design file or its flags: each gives a one-line error or a note."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.reports.analysis.design_checks import odd_parents
from tests.reports.conftest import Command


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("tune: code", "tune: plain", "runs/NN-0 and runs/NC-0: the same levels, parent pre-text-0 and seed 0"),
        ("tune: code", "tune: cod", "'cod' is no level of tune; give one of plain, code. Did you mean code?"),
        ("  tune: code\n", "", "tune: is missing; give one of plain, code"),
        (
            "seed: 1",
            "sed: 1",
            "'sed' is unknown; give only run, parent, seed, step, pretrain, tune. Did you mean seed?",
        ),
        ("run: runs/NC-1", "run: runs/NC-9", "run runs/NC-9: no such folder"),
        ("run: runs/NC-1", "run: runs/NC-0", "run runs/NC-0 is named twice"),
        ("run: runs/NC-1", "run: runs", "run runs: holds 8 models"),
        ("factors:", "factor:", "'factor' is unknown; give only factors, main, runs"),
        ("- plain\n", "", "give a list of two or more words or numbers, all different"),
        ("runs:", "runs: [", "not valid YAML"),
        ("seed: 1", "step: soon", "'soon' is no number"),
        ("factors:", "parents: 5\nfactors:", "parents is 5; give a list of mappings, each with run and name"),
        ("factors:", "parents: true\nfactors:", "parents is True; give a list of mappings"),
        (
            "factors:",
            "parents: [{run: a, name: n}, {run: b, name: n}]\nfactors:",
            "parents[1]: the name 'n' is given twice; give each parent once",
        ),
        ("seed: 1\n  parent: pre-text-1", "seed: 0\n  parent: pre-text-0", "runs/NN-0 and runs/NN-1: the same levels"),
        ("parent: pre-text-1", "parent: {name: p}", "parent: is {'name': 'p'}; give one name or number"),
        ("parent: pre-text-1", "parent: ''", "parent: is ''; give one name or number, or leave it out"),
        ("seed: 1", "seed: [0, 1]", "seed: is [0, 1]; give one name or number"),
        ("run: runs/NC-1", "run: 5", "run is 5; give a run folder or the name of a model"),
        (
            "run: runs/NC-1",
            "run: runs/NC-1\n  run: runs/NC-2",
            "'run' (line 25) appears twice in one mapping; keep one",
        ),
        ("factors:", "factors: {a: [b, c]}\nfactors:", "'factors' (line 2) appears twice in one mapping"),
        ("  - plain\n", "  - null\n", "levels are [None, 'code']; give a list of two or more words or numbers"),
        ("  - plain\n", "  - never\n  - plain\n", "no run has never, the reference level; put a level first that has"),
        ("tune: code", "tune: Code", "'Code' is no level of tune; give one of plain, code. Did you mean code?"),
        ("tune:", "on:", "factor True is not text; write its name in quotes"),
        ("- plain\n  - code", "- no\n  - yes", "'plain' is no level of tune; give one of no, yes"),
    ],
)
def test_a_wrong_design_is_refused_in_one_line(old: str, new: str, part: str, command: Command, small: Path) -> None:
    text = small.read_text()
    assert old in text
    other = small.with_name("other.yaml")
    other.write_text(text.replace(old, new))
    code, out, err = command("compare", "--design", other)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert part in err


# What is written in place of a part of the file, the line that the message names, what it says and the remedy.
YAML_MISTAKES = {
    "tabs": (("  tune:", "\ttune:"), 5, "found character '\\t'", "indent with spaces, not with tabs"),
    "no colon after a section": (("factors:", "factors"), 2, "not valid YAML", "end the key before it with a colon"),
    "no colon in a run": (("seed: 1", "seed 1"), 17, "could not find expected ':'", "write key: value, with a colon"),
    "a list for the factors": (
        ("factors:\n", "factors: [a]\nx:\n"),
        2,
        "'x' is unknown",
        "give only factors, main, runs",
    ),
    "a mapping for the runs": (("runs:\n", "runs: {a: b}\ncot:\n"), 8, "runs is {'a': 'b'}", "give a list of runs"),
    "an unknown key": (("seed: 1", "sed: 1"), 17, "runs[1]: 'sed' is unknown", "give only run, parent, seed"),
    "a number for a run": (("run: runs/NC-1", "run: 5"), 24, "runs[3]: run is 5", "give a run folder"),
    "a list for a seed": (("seed: 1", "seed: [1]"), 17, "runs[1].seed: is [1]", "give one name or number"),
    "an unknown level": (("tune: code", "tune: cod"), 21, "runs[2].tune: 'cod' is no level", "give one of plain, code"),
    "a key given twice": (("seed: 1", "seed: 1\n  seed: 2"), 18, "'seed' (line 18) appears twice", "keep one"),
    "a run that does not exist": (("run: runs/NC-1", "run: x"), 24, "run x: no such folder", "correct it there"),
    "a run given twice": (("run: runs/NC-1", "run: runs/NC-0"), 24, "is named twice", "give each run once"),
    "an open bracket": (("run: runs/NC-1", "run: [runs"), 24, "expected ',' or ']'", "close the bracket"),
    "an open quote": (("run: runs/NC-1", "run: 'runs"), 24, "unexpected end of stream", "close the quotes"),
    "a sign without quotes": (("run: runs/NC-1", "run: @a"), 24, "character '@'", "put the text in quotes"),
    "a star without quotes": (
        ("run: runs/NC-1", "run: *.ckpt"),
        24,
        "expected alphabetic or numeric",
        "put the text in quotes",
    ),
    "a colon without quotes": (
        ("run: runs/NC-1", "run: C: drive"),
        24,
        "mapping values are not",
        "put a text with ': ' in quotes",
    ),
    "a date that does not exist": (
        ("tune: code", "tune: 2024-13-45"),
        21,
        "'2024-13-45' is not a valid timestamp",
        "correct it there, or put the text in quotes",
    ),
    "a value that is not of its tag": (
        ("seed: 1", "seed: !!bool x"),
        17,
        "'x' is not a valid bool",
        "correct it there, or put the text in quotes",
    ),
    "a control character": (
        ("seed: 1", "seed: \a"),
        17,
        "character #x0007 is not allowed",
        "correct it there",
    ),
    "an alias to itself": (("runs:\n", "cot: &a [*a]\nruns:\n"), 8, "alias *a is inside", "correct it there"),
    "deep nesting": (
        ("seed: 1", "seed: " + "[" * 200 + "]" * 200),
        17,
        "nested more than 100 levels",
        "correct it there",
    ),
    "a truth value for a factor": (
        ("  tune:", "  yes:"),
        5,
        "factor True is not text",
        "write its name in quotes",
    ),
    "an indented key": (
        ("  tune: code\n", "    tune: code\n"),
        21,
        "mapping values are not",
        "indent keys of one mapping",
    ),
}


@pytest.mark.parametrize("name", YAML_MISTAKES)
def test_a_mistake_in_yaml_names_file_line_and_remedy(name: str, command: Command, small: Path) -> None:
    (old, new), line, part, remedy = YAML_MISTAKES[name]
    other = small.with_name("mistake.yaml")
    text = small.read_text()
    assert old in text
    other.write_text(text.replace(old, new, 1))
    code, out, err = command("compare", "--design", other)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert re.search(rf"line {line}\b", err), err
    for words in (str(other), part, remedy):
        assert words in err, err
    assert "<unicode string>" not in err


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n- b\n", "line 1: is a list, not a mapping"),
        (b"hello", "line 1: is 'hello', not a mapping"),
        (bytes(range(256)), "is not text in UTF-8"),
        (b"PK\x03\x04\0\0", "is not text, but a binary file"),
        (None, "is a folder"),
    ],
)
def test_what_is_no_design_file_is_named_with_what_one_is(
    content: bytes | None, part: str, command: Command, tmp_path: Path
) -> None:
    place = tmp_path / "design.yaml"
    place.mkdir() if content is None else place.write_bytes(content)
    code, out, err = command("compare", "--design", place)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert f"{place}" in err
    assert part in err
    assert "give a design file with factors and runs, see docs/statistics.md" in err


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("  - plain\n  - code", "  - plain\n  - code\n  - maths", "tune: no run has maths; left out."),
        ("  - plain\n  - code", "  - plain\n  - code\n  size: [s, l]", "size: all runs have s, so it is left out"),
        ("parent: pre-code-0", "parent: pre-text-0", "pretrain: the runs of pre-text-0 have several levels of it"),
        ("factors:", "parents: [{run: runs/CC-1, name: pre-txt-0}]\nfactors:", "No run was trained from pre-txt-0"),
        (
            "factors:",
            "parents: [{run: runs/CC-1, name: pre-text-0}]\nfactors:",
            "5 runs left out, because no parent is evaluated (pre-text-1, pre-code-0, pre-code-1)",
        ),
    ],
)
def test_a_likely_mistake_gives_a_note(old: str, new: str, part: str, command: Command, small: Path) -> None:
    text = small.read_text()
    assert old in text
    text = text.replace(old, new, 1 if old.startswith("parent: ") else -1)
    if "size:" in new:
        text = text.replace("seed:", "size: s\n  seed:")
    if "CC-1" in new:  # it cannot be a run and a parent
        text = text[: text.rindex("- run: runs/CC-1")]
    other = small.with_name("noted.yaml")
    other.write_text(text)
    code, out, err = command("compare", "--design", other)
    assert (code, err) == (0, "")
    assert part in " ".join(out.split())


@pytest.mark.parametrize(("off", "on"), [("off", "on"), ("no", "yes"), ("false", "true")])
def test_levels_that_yaml_reads_as_truth_values_are_levels(off: str, on: str, command: Command, small: Path) -> None:
    text = small.read_text().replace("tune: plain", f"tune: {off}").replace("tune: code", f"tune: {on}")
    text = text.replace("  - plain\n  - code", f"  - {off}\n  - {on}")
    other = small.with_name("truths.yaml")
    other.write_text(text)
    code, out, _ = command("compare", "--design", other)
    assert code == 0
    assert "tune (no N, yes C)" in " ".join(out.split())
    other.write_text(text.replace(f"tune: {on}", f'tune: "{on}"'))
    code, out, err = command("compare", "--design", other)
    if on != "yes":
        assert (code, err.count("\n")) == (2, 1)
        assert "Without quotes, YAML reads on, yes and true as yes" in err


def test_a_missing_cell_of_the_2x2_is_named(command: Command, small: Path) -> None:
    text = small.read_text()
    other = small.with_name("cell.yaml")
    other.write_text(text[: text.index("- run: runs/CC-0")])
    code, out, err = command("compare", "--design", other)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no run has pretrain=code and tune=code; the 2 x 2 needs a run in each of its four cells" in err


def test_long_numbers_stay_apart_as_levels(command: Command, small: Path) -> None:
    text = small.read_text().replace("tune: plain", "tune: 1234567").replace("tune: code", "tune: 1234568")
    other = small.with_name("numbers.yaml")
    other.write_text(text.replace("  - plain\n  - code", "  - 1234567\n  - 1_234_568"))
    code, out, _ = command("compare", "--design", other)
    assert code == 0
    assert "tune (1234567 N, 1234568 C)" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--margin", "0.02"], "--margin: not with --design"),
        (["--correction", "bh"], "--correction: not with --design"),
        (["model"], "the runs of a design stand in its file"),
        (["--last_checkpoints", "0"], "--last_checkpoints 0: give 1 or more"),
        (["--last_checkpoints", "2"], "--last_checkpoints 2: NN-0 has 1 checkpoint here"),
        (["--metric", "beauty"], "--metric beauty: no task has it; give gold_log_likelihood"),
        (["--tasks", "third"], "--tasks third: no run of this task"),
    ],
)
def test_flags_that_do_not_fit_are_refused(words: list[str], part: str, command: Command, small: Path) -> None:
    code, _, err = command("compare", "--design", small, *words)
    assert (code, err.count("\n")) == (2, 1), err
    assert part in err


def test_models_or_a_design_are_needed(command: Command) -> None:
    code, _, err = command("compare")
    assert code == 2
    assert "give two or more to compare, or --design FILE" in err


def test_a_wrong_parent_among_parents_of_one_cell_each_is_noted() -> None:
    factors = {"pretrain": ("text", "code"), "tune": ("plain",)}
    cells = {f"p{n}": [(("text", "code")[n % 2], "plain")] * 2 for n in range(6)}
    assert odd_parents(factors, cells) == []
    cells["p3"] = [("text", "plain"), ("code", "plain")]
    (note,) = odd_parents(factors, cells)
    assert note.startswith("pretrain: the runs of p3 have several levels of it, those of every other parent one;")


def test_all_odd_parents_are_counted() -> None:
    factors = {"pretrain": ("text", "code")}
    cells = {f"p{n}": [("text",), ("code",)] if n < 5 else [("text",)] for n in range(11)}
    (note,) = odd_parents(factors, cells)
    assert note.startswith("pretrain: the runs of p0, p1, p2 and 2 more have several levels of it, those of every")


def test_a_path_with_a_colon_is_named_in_full(command: Command, small: Path) -> None:
    folder = small.with_name("C: drive")
    folder.mkdir()
    other = folder / "design.yaml"
    other.write_text(small.read_text().replace("- plain\n", "", 1))
    code, _, err = command("compare", "--design", other)
    assert code == 2
    assert f"{other}, line 5: factor tune: levels are ['code']" in err

"""`harness export`: formats by entry point, nothing half-written, errors that the user can mend."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest

from harness.errors import InputError, RecordError
from harness.export import ExportFile, ExportOptions, registry
from harness.export.files import write_files
from harness.records import Records, items_frame, load, results_frame
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_tables_hold_the_frames_and_read_back_exactly(kind: str, command: Command, runs: Path, tmp_path: Path) -> None:
    code, out, err = command("export", runs, "--format", kind, "--output_path", tmp_path / "out")
    assert (code, out) == (0, ""), err
    assert err == f"written: 2 files below {tmp_path / 'out'}\n"
    models = load([runs]).models
    for name, frame in (("results", results_frame(models)), ("items", items_frame(models))):
        file = tmp_path / "out" / f"{name}.{kind}"
        written = pd.read_parquet(file) if kind == "parquet" else pd.read_csv(file, dtype={"version": str})
        expected = frame if kind == "parquet" else frame.replace("", None)
        assert list(written.columns) == list(frame.columns)
        pd.testing.assert_frame_equal(written, expected, check_dtype=False, check_exact=True)


def test_only_the_selected_tasks_are_exported(command: Command, runs: Path, tmp_path: Path) -> None:
    words = ("--format", "csv", "--tasks", "mini_*", "--output_path", tmp_path)
    assert command("export", runs, *words)[0] == 0
    assert set(pd.read_csv(tmp_path / "results.csv").task) == {"mini_logic"}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_model_id_is_the_model_of_every_row(kind: str, command: Command, tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "m", {0}, items=2)
    words = ("--format", kind, "--model_id", "lab/model", "--output_path", tmp_path / "out")
    assert command("export", tmp_path / "runs", *words)[0] == 0
    for name in ("results", "items"):
        file = tmp_path / "out" / f"{name}.{kind}"
        written = pd.read_parquet(file) if kind == "parquet" else pd.read_csv(file)
        assert set(written.model) == {"lab/model"}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["--format", "csv", "--push_to", "lab/model"],
            "--push_to lab/model: only files of --format hub can be pushed",
        ),
        (["--format", "csv", "--model_id", "model"], "--model_id model: is no org/name"),
        (["--format", "csv", "--model_id", "lab/a b"], "--model_id lab/a b: is no org/name"),
        (["--format", "lm-eval", "--model_id", "lab/model"], "--model_id lab/model: names one model, but there are 3"),
        (["--format", "csv", "--model_id", "lab/model"], "--model_id lab/model: names one model, but there are 3"),
        (["--format", "parquet", "--model_id", "lab/model"], "--model_id lab/model: names one model, but there are 3"),
        (["--format", "csv", "--tasks", "nothing"], "--tasks nothing: no run of this task"),
    ],
)
def test_a_wrong_flag_is_one_line_and_writes_nothing(
    words: list[str], problem: str, command: Command, runs: Path, tmp_path: Path
) -> None:
    code, out, err = command("export", runs, *words, "--output_path", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert problem in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["every-eval-ever", "lm-eval", "parquet", "csv"])
def test_half_a_character_in_a_record_is_named_and_writes_nothing(kind: str, command: Command, tmp_path: Path) -> None:
    """JSON can hold a lone surrogate; no file in UTF-8 can."""
    file = next(write_run(tmp_path / "runs", "m", {0}, items=2).glob("results_*.json"))
    contents = json.loads(file.read_text())
    contents["versions"]["ceval_logic_paper"] = contents["lm_eval_version"] = "\ud800"
    file.write_text(json.dumps(contents))
    code, out, err = command("export", tmp_path / "runs", "--format", kind, "--output_path", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert str(file.parent) in err
    assert not (tmp_path / "out").exists()


def test_a_format_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("names", "tests.export.names_format:export", registry.GROUP)
    monkeypatch.setattr(registry, "exporter_names", lambda: {"names": point})
    files = list(registry.find_exporter("names")(Records(models=(), skipped=()), ExportOptions()))
    assert [(str(file.path), list(file.content)) for file in files] == [("names.txt", [b"none\n"])]


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"--format parket: unknown; .* Did you mean parquet\?"):
        registry.find_exporter("parket")


def test_an_error_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def files() -> Iterator[ExportFile]:
        yield ExportFile(path=PurePosixPath("a/b.txt"), content=[b"one"])
        raise RecordError("damaged")

    with pytest.raises(RecordError):
        write_files(files(), tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_an_earlier_export_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    for text in (b"one", b"two"):
        (written,) = write_files([ExportFile(path=PurePosixPath("a/b.txt"), content=[text])], tmp_path)
    assert written.read_bytes() == b"two"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "other.txt"}

"""`harness overlap` from the command line: planted leaks of every kind of task, in every kind of file."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from tests.tasks_for_tests import CHOICE, CODE, GENERATE

Run = Callable[..., tuple[int, str, str]]
PLAIN = "The weather in the valley was calm, and nobody in the village spoke of the bridge any more that day.\n"
COLOURS = ("blue", "green", "amber", "violet", "crimson", "teal")
CHINESE = (
    "古镇里的七位音乐家每年秋天都会在河边的石桥旁演奏一首很长的曲子第{}位音乐家吹的是"
    "哪一种用银做成的乐器请根据上面的材料选出正确的一项并说明你的理由"
)


def _choice(n: int) -> dict[str, Any]:
    question = f"In which of the {n + 3} crowded harbours did the old {COLOURS[n]} sailing ship wait for the pilot?"
    return {"question": question, "prompt": f"Q: {question}\nA:", "choices": ["north", "south", "east", "west"],
            "answer": n % 4, "right": f"the {COLOURS[n]} one"}  # fmt: skip


def _chinese(n: int) -> dict[str, Any]:
    return _choice(n) | {"question": CHINESE.format("一二三四五六"[n])}


def _program(n: int) -> dict[str, str]:
    name = f"sum_of_{COLOURS[n]}_numbers"
    return {
        "question": f"Write {name} for a list of {COLOURS[n]} values: it adds those from {n + 2} {COLOURS[n]} on.",
        "code": f"def {name}(values, least):\n    return sum(v for v in values if v >= {n + 2} * least)\n",
        "tests": f"assert {name}([1, 2, 3, {n + 7}], 1) == {n + 7}\nassert {name}([], 1) == 0\n",
    }


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overlap-tasks")
    for name, template, make in (
        ("o_choice", CHOICE, _choice), ("o_generate", GENERATE, _choice), ("o_code", CODE, _program),
        ("o_chinese", CHOICE, _chinese),
    ):  # fmt: skip
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(make(n), ensure_ascii=False) + "\n" for n in range(6)), encoding="utf-8")
        text = template.format(name=name, data=data, domain="logic", items=6)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def run(tasks: Path, own_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path) -> Run:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        names = () if "--tasks" in words else ("--tasks", "o_choice,o_generate,o_code,o_chinese")
        try:
            code = main(["overlap", *map(str, words), *names, "--include_path", str(tasks)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def found(run: Run, *words: object) -> list[tuple[str, str, str]]:
    """Task, item and place of what was found."""
    code, out, err = run(*words, "--format", "json")
    assert (code, err) == (0, "")
    return [(row["task"], row["item"], row["where"]) for row in json.loads(out)["tables"]["items"]]


def _jsonl(path: Path, text: str) -> str:
    rows = [{"text": PLAIN}, {"id": 7, "text": f"{PLAIN}{text}"}]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return f"{path}, line 2"


def _text(path: Path, text: str) -> str:
    path.write_text(PLAIN * 2000 + text, encoding="utf-8")
    return f"{path}, line 2001"


def _parquet(path: Path, text: str) -> str:
    import pandas as pd

    pd.DataFrame({"messages": [[{"role": "user", "content": PLAIN}], [{"role": "user", "content": text}]]}).to_parquet(
        path
    )
    return f"{path}, record 2"


def _python(path: Path, text: str) -> str:
    path.write_text(f'"""{PLAIN}"""\n\n# {text}\n', encoding="utf-8")
    return f"{path}, line 4"


WRITERS = {"a.jsonl": _jsonl, "a.jsonl.gz": _jsonl, "a.txt": _text, "a.md": _text, "a.parquet": _parquet,
           "a.py": _python}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_reformatted_item_is_found_in_each_kind_of_file(run: Run, tmp_path: Path, name: str) -> None:
    leak = f"**{_choice(2)['question'].upper()}**".replace("OLD", "old,")
    where = WRITERS[name](tmp_path / name, leak)
    assert found(run, tmp_path / name) == [("o_choice", "2", where), ("o_generate", "2", where)]


@pytest.mark.parametrize(
    ("task", "leak"),
    [
        ("o_generate", f"{_choice(4)['question']} {_choice(4)['right']}"),
        ("o_code", _program(4)["question"]),
        ("o_code", _program(4)["code"].replace("    ", "\t").replace(" ", "  ")),
        ("o_code", "\n\n".join(f"    {line}" for line in _program(4)["tests"].splitlines())),
        ("o_chinese", "，".join(CHINESE.format("五")[at : at + 6] for at in range(0, 70, 6))),
    ],
)
def test_an_item_of_each_kind_of_task_is_found(run: Run, tmp_path: Path, task: str, leak: str) -> None:
    where = _text(tmp_path / "a.txt", leak)
    assert found(run, tmp_path / "a.txt", "--tasks", task) == [(task, "4", where)]


@pytest.mark.parametrize(
    "near",
    [
        " ".join(_choice(2)["question"].split()[:12]),
        _program(2)["code"][:50],
        CHINESE[:20] + "但是今天下雨" + CHINESE[-20:],
        _choice(2)["question"].replace("old", "new").replace("crowded", "empty"),
    ],
)
def test_a_near_miss_is_not_found(run: Run, tmp_path: Path, near: str) -> None:
    _text(tmp_path / "a.txt", near)
    assert found(run, tmp_path / "a.txt") == []


def test_the_json_names_items_by_the_hash_of_samples_files(run: Run, tmp_path: Path, tasks: Path) -> None:
    _text(tmp_path / "a.txt", _choice(1)["question"])
    _, out, _ = run(tmp_path / "a.txt", "--tasks", "o_choice", "--format", "json")
    (row,) = json.loads(out)["tables"]["items"]
    main(["eval", "--model", "oracle", "--backend", "scripted", "--include_path", str(tasks), "--tasks", "o_choice",
          "--output_path", str(tmp_path / "runs"), "--no_cache"])  # fmt: skip
    lines = next((tmp_path / "runs").rglob("samples_o_choice_*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert row["doc_hash"] == json.loads(lines[1])["doc_hash"]
    # 17 words of the question have 5 n-grams; one more reaches into the answer, which does not stand there.
    assert (row["ngrams"], row["share"]) == (5, 5 / 6)
    assert row["text"] == " ".join(_choice(1)["question"].split()[:13])


def _stage(path: Path, **source: object) -> Path:
    data = {"budget_tokens": 2000, "sources": {"one": {"path": "a.jsonl", **source}, "two": {"path": "b.txt"}}}
    spec = {"stage": "pretrain", "name": "s", "architecture": "tiny", "tokenizer": {"vocab_size": 300}, "data": data,
            "trainer": {"max_length": 64}}  # fmt: skip
    path.write_text(json.dumps(spec), encoding="utf-8")
    return path


def test_a_stage_file_is_searched_by_source_within_skip_and_limit(run: Run, tmp_path: Path) -> None:
    rows = [{"text": f"{PLAIN}{_choice(n)['question']}"} for n in range(6)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _text(tmp_path / "b.txt", "")
    stage = _stage(tmp_path / "stage.yaml", skip=1, limit=2)
    assert [name for _, name, _ in found(run, stage, "--tasks", "o_choice")] == ["1", "2"]
    code, out, _ = run(stage, "--tasks", "o_choice", "--format", "md")
    assert code == 0
    assert "| o_choice | one | 6 | 6 | 2 | 0.333 |" in out
    assert "| o_choice | two | 6 | 6 | 0 | 0.000 |" in out


def test_sources_of_two_stages_keep_apart(run: Run, tmp_path: Path) -> None:
    _jsonl(tmp_path / "a.jsonl", _choice(3)["question"])
    _text(tmp_path / "b.txt", "")
    stages = [_stage(tmp_path / "x.yaml"), _stage(tmp_path / "y.yaml", limit=1)]
    _, out, _ = run(*stages, "--tasks", "o_choice", "--format", "json")
    counts = {row["source"]: row["overlapping"] for row in json.loads(out)["tables"]["overlap"]}
    x, y = stages
    assert counts == {f"{x}: one": 1, f"{x}: two": 0, f"{y}: one": 0, f"{y}: two": 0, "all sources": 1}


def test_of_an_output_folder_only_the_streamed_records_are_searched(run: Run, tmp_path: Path) -> None:
    from harness.trainers.stage.training_texts import open_streams

    rows = [{"text": f"{PLAIN}{_choice(n)['question']}" if n < 6 else PLAIN} for n in range(600)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _text(tmp_path / "b.txt", "")
    assert main(["train", str(_stage(tmp_path / "stage.yaml")), "--output_path", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "stage.json").read_text(encoding="utf-8"))
    drawn = manifest["sources"][0]["records"]
    assert 0 < drawn < 100
    one, _ = open_streams([str(tmp_path / "out")])
    pieces = list(one.pieces)
    assert (len(pieces), one.note) == (drawn, f"the {drawn} records that were streamed")
    # The seed's order, not the file's:
    assert [piece.where for piece in pieces] != [f"{tmp_path}/a.jsonl, line {n + 1}" for n in range(drawn)]
    whole = {where for _, _, where in found(run, tmp_path / "stage.yaml", "--tasks", "o_choice")}
    streamed = {where for _, _, where in found(run, tmp_path / "out", "--tasks", "o_choice")}
    assert streamed == whole & {piece.where for piece in pieces}
    shutil.rmtree(tmp_path / "out")


def test_an_item_overlaps_with_the_checkpoints_that_were_saved_after_it_was_streamed(run: Run, tmp_path: Path) -> None:
    """The stream is read again, record by record, to find out what each state had seen."""
    rows = [{"text": f"{PLAIN}{_choice(n // 12)['question'] if n % 12 == 5 else n}"} for n in range(72)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _text(tmp_path / "b.txt", "")
    stage = _stage(tmp_path / "stage.yaml")
    words = ["data.mixture={weights: {one: 1, two: 0}}", "trainer.save_steps=2", "trainer.save_total_limit=99",
             "trainer.per_device_train_batch_size=4", "data.budget_tokens=2600"]  # fmt: skip
    assert main(["train", str(stage), "--output_path", str(tmp_path / "out"), *words]) == 0
    _, out, _ = run(tmp_path / "out", "--tasks", "o_choice", "--format", "json")
    tables = json.loads(out)["tables"]
    counts = {row["step"]: row["overlapping"] for row in tables["checkpoints"] if row["task"] == "o_choice"}
    expected = {}
    places = [row["where"] for row in tables["items"]]
    for manifest in [*(tmp_path / "out" / "training").glob("checkpoint-*/stage.json"), tmp_path / "out" / "stage.json"]:
        state = json.loads(manifest.read_text(encoding="utf-8"))
        drawn = _drawn(tmp_path / "out", state["sources"][0]["records"])
        expected[state["step"]] = sum(where in drawn for where in places)
    assert counts == expected
    assert len(set(counts.values())) > 2, "some states saw more than others"
    for row in tables["items"]:
        assert row["stage"] == str(tmp_path / "out")
        assert 0 < row["sequence"] <= max(one["sequences"] for one in tables["checkpoints"])


def _drawn(folder: Path, count: int) -> set[str]:
    """The places of the first records that a stage drew from its first source."""
    from harness.trainers.stage.training_texts import open_streams

    return {piece.where for piece in list(open_streams([str(folder)])[0].pieces)[:count]}


def test_the_table_shows_the_clearest_examples_first(run: Run, tmp_path: Path) -> None:
    for n in range(6):
        words = _choice(n)["question"].split()
        (tmp_path / f"{n}.txt").write_text(" ".join(words[: 17 if n == 5 else 13]), encoding="utf-8")
    _, out, _ = run(tmp_path / "?.txt", "--tasks", "o_choice", "--format", "csv")
    assert out.splitlines()[1].startswith(f"o_choice,{tmp_path}/?.txt,6,6,6,1.0")
    _, out, _ = run(tmp_path / "?.txt", "--tasks", "o_choice", "--format", "md")
    examples = [line.split(" | ")[1] for line in out.splitlines() if ", line 1 |" in line]
    assert examples == ["5", "0", "1"]


def test_exit_codes(run: Run, tmp_path: Path) -> None:
    _text(tmp_path / "clean.txt", "")
    _text(tmp_path / "leak.txt", _choice(0)["question"])
    assert run(tmp_path / "clean.txt", "--fail_on_overlap")[0] == 0
    assert run(tmp_path / "leak.txt")[0] == 0
    assert run(tmp_path / "leak.txt", "--fail_on_overlap")[0] == 1
    # 5 of the 6 n-grams of the choice item stand there.
    for share, code in ((0.83, 1), (0.84, 0)):
        assert run(tmp_path / "leak.txt", "--min_share", share, "--fail_on_overlap", "--tasks", "o_choice")[0] == code


def test_the_sentence_names_the_least_share(run: Run, tmp_path: Path) -> None:
    _text(tmp_path / "leak.txt", _choice(0)["question"])
    for words, sentence in (
        ((), "items overlap: an n-gram of the item stands in the training data"),
        (("--min_share", 0.7), "items overlap: at least 70% of the item's n-grams stand in one source"),
    ):
        _, out, _ = run(tmp_path / "leak.txt", "--tasks", "o_choice", *words)
        assert sentence in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.txt"], "nowhere.txt: does not exist; give a stage file"),
        (["nowhere.yaml"], "nowhere.yaml: does not exist; give a stage file"),
        (["nowhere*.txt"], "nowhere*.txt: no file of a supported kind there"),
        (["experiment.yaml"], "experiment.yaml: is an experiment file; give a stage file, or the output folder"),
        (["plan.yaml"], "plan.yaml: stage: missing; give a stage file"),
        (["study"], "study: is the output folder of a study; give that of a stage, such as study/nodes/KEY/LABEL"),
        (["a.txt", "--tasks", "o_choise"], "Did you mean o_choice"),
        (["a.txt", "--tasks", ","], "names no task"),
        (["a.txt", "--ngram_words", "2"], "--ngram_words 2: shorter n-grams stand in any text; give 5 or more."),
        (["a.txt", "--min_share", "7"], "--min_share 7.0: give a share"),
        (["a.txt", "--output_path", "x.html"], "give .md, .csv, .json, .tex"),
        (["average.yaml"], "stage: 'average' reads no data"),
        (["broken.jsonl.gz"], "broken.jsonl.gz, line 1: cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    _text(tmp_path / "a.txt", "")
    (tmp_path / "average.yaml").write_text("stage: average\nname: x\n", encoding="utf-8")
    (tmp_path / "experiment.yaml").write_text("name: x\nstages: {base: {stage: pretrain}}\n", encoding="utf-8")
    (tmp_path / "plan.yaml").write_text("name: x\n", encoding="utf-8")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text("{}", encoding="utf-8")
    (tmp_path / "broken.jsonl.gz").write_bytes(b"no gzip")
    code, _, err = run(*words)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert message in err

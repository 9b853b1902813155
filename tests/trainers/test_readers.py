"""Every kind of source gives the same records from any position; each format converts its records."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import InputError
from harness.trainers.data.encoding import completion_encoder
from harness.trainers.data.formats import Format, convert
from harness.trainers.data.opening import open_source
from harness.trainers.data.readers import Cursor
from harness.trainers.data.record_fields import Rationale, RecordFields
from harness.trainers.data.sources import Source, SourcePosition
from harness.trainers.data.spec import SourceSpec
from harness.trainers.rewards import verified
from tests.trainers.helpers import chat_model

ROWS = [{"instruction": f"say {n}", "input": "", "output": f"{n}"} for n in range(700)]


def write_rows(folder: Path, kind: str) -> dict[str, Any]:
    """Write `ROWS` as one kind of source; return its fields in the stage file."""
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    path = folder / f"rows.{kind}"
    if kind == "jsonl":
        path.write_text(lines)
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    elif kind == "parquet":
        pd.DataFrame(ROWS).to_parquet(path, row_group_size=150)
    else:
        (folder / "set").mkdir()
        (folder / "set" / "train.jsonl").write_text(lines)
        return {"hub": str(folder / "set"), "split": "train"}
    return {"path": str(path)}


def opened(fields: dict[str, Any], *, seed: int | None = 0) -> Source:
    spec = SourceSpec(format="instruction", **fields)
    return open_source("rows", spec, stage="sft", rationale="omit", seed=seed)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "parquet", "hub"])
def test_every_kind_of_source_gives_its_records_from_any_position(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.trainers.data.sources.BLOCK_RECORDS", 128)  # several blocks
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fields = write_rows(tmp_path, kind)
    plain = [
        record["completion"][0]["content"] for record, _, _ in opened(fields, seed=None).read_epoch(SourcePosition())
    ]
    assert plain == [row["output"] for row in ROWS]
    whole = list(opened(fields).read_epoch(SourcePosition()))
    assert sorted(record["completion"][0]["content"] for record, _, _ in whole) == sorted(plain)
    for taken in (1, 127, 128, 300, 699):
        assert list(opened(fields).read_epoch(whole[taken - 1][2])) == whole[taken:], f"resumed after {taken} records"


def read_all(fields: dict[str, Any], stage: str = "sft") -> list[Any]:
    source = open_source("rows", SourceSpec(**fields), stage=stage, rationale="omit", seed=None)
    return [record for record, _, _ in source.read_epoch(SourcePosition())]


def test_tables_are_read_with_and_without_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        '\ufeffinstruction,output\r\n"say ""hi"",\nplease",hi\r\nsay no,no\r\n', encoding="utf-8", newline=""
    )
    first, second = read_all({"path": str(tmp_path / "a.csv")})
    assert first["prompt"][0]["content"] == 'say "hi",\nplease'
    assert second["completion"][0]["content"] == "no"
    (tmp_path / "cot.tsv").write_text("2 and 2?\t4\tCount on.\n3 and 3?\t6\tDouble it.\n", encoding="utf-8")
    columns = ("question", "answer", "rationale")
    spec = SourceSpec(path=str(tmp_path / "cot.tsv"), format="problem", columns=columns)
    source = open_source("rows", spec, stage="sft", rationale="completion", seed=None)
    records = list(source.read_epoch(SourcePosition()))
    assert [(r["answer"], r["thought"]) for r, _, _ in records] == [("4", "Count on.\n\n"), ("6", "Double it.\n\n")]
    assert list(source.read_epoch(records[0][2])) == records[1:]
    (tmp_path / "b.csv").write_text("instruction,output\na,b,c\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.csv, row 1: has 3 fields instead of 2 \(instruction, output\)"):
        read_all({"path": str(tmp_path / "b.csv"), "format": "instruction"})


def test_marks_and_line_ends_of_other_systems_are_normalised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.trainers.data.readers.PIECE_BYTES", 16)
    text = "a first line\nand a second, é, with no end for long\nlast\r"
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode())
    (tmp_path / "b.txt").write_bytes(b"x" * 15 + b"\r\n" + b"y")  # a piece would end between the two
    pieces = read_all({"path": str(tmp_path / "a.txt")}, "pretrain")
    assert len(pieces) > 3
    assert "".join(piece["text"] for piece in pieces) == text
    assert (
        "".join(piece["text"] for piece in read_all({"path": str(tmp_path / "b.txt")}, "pretrain")) == "x" * 15 + "\ny"
    )
    lines = [json.dumps({"instruction": "say hi", "output": "hi"})] * 2
    (tmp_path / "c.jsonl").write_bytes(codecs.BOM_UTF8 + "\r\n".join(lines).encode())
    assert len(read_all({"path": str(tmp_path / "c.jsonl")})) == 2
    (tmp_path / "d.csv").write_bytes(b'instruction,output\r\n"say\r\nhi",hi\r\n')
    assert read_all({"path": str(tmp_path / "d.csv")})[0]["prompt"][0]["content"] == "say\nhi"


@pytest.mark.parametrize(
    ("fields", "content", "message"),
    [
        ({}, "instruction,output,output\na,b,c\n", "a.csv: has the column 'output' twice; rename one of them"),
        ({"only_last": True, "format": "problem"}, "question,answer\na,b\n", "only_last: belongs to conversations"),
    ],
)
def test_a_source_that_would_lose_something_is_refused(
    tmp_path: Path, fields: dict[str, Any], content: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_all({"path": str(tmp_path / "a.csv"), **fields})
    assert message in str(caught.value)


def test_a_format_is_guessed_from_mapped_names_and_from_all_first_records(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Question,Answer\n2 and 2?,4\n", encoding="utf-8")
    fields = {"path": str(tmp_path / "a.csv"), "fields": {"instruction": "Question", "output": "Answer"}}
    assert read_all(fields)[0]["completion"][0]["content"] == "4"
    with pytest.raises(InputError) as caught:
        read_all({"path": str(tmp_path / "a.csv")})
    assert "the first records have Question, Answer (columns names them" in str(caught.value)
    rows = [{"prompt": "a", "completion": "b", "label": label} for label in (True, None, False)]
    path = tmp_path / "k.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InputError, match=r"k\.jsonl, line 2: field 'label' is None"):
        read_all({"path": str(path)}, "kto")


def test_columns_belong_to_tables() -> None:
    with pytest.raises(InputError, match=r"columns: belongs to \.csv and \.tsv files; remove it"):
        read_all({"task": "mini_logic", "columns": ("a",)})


def test_zstandard_files_and_folders_of_parquet_are_read(tmp_path: Path) -> None:
    import pyarrow as pa

    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    with pa.output_stream(str(tmp_path / "rows.jsonl.zst"), compression="zstd") as file:
        file.write(lines)
    fields = {"path": str(tmp_path / "rows.jsonl.zst")}
    whole = list(opened(fields, seed=None).read_epoch(SourcePosition()))
    assert [record["completion"][0]["content"] for record, _, _ in whole] == [row["output"] for row in ROWS]
    assert list(opened(fields, seed=None).read_epoch(whole[500][2])) == whole[501:]
    (tmp_path / "set" / "train").mkdir(parents=True)
    for part in (0, 1):
        pd.DataFrame(ROWS[part * 350 : part * 350 + 350]).to_parquet(tmp_path / "set" / "train" / f"{part}.parquet")
    assert len(read_all({"path": str(tmp_path / "set")})) == len(ROWS)


@pytest.mark.parametrize(
    ("row", "stage", "expected"),
    [
        ({"instruction": "a", "output": "b"}, "sft", "instruction"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "sft", "chat"),
        ({"text": "### Human: a### Assistant: b"}, "sft", "chat"),
        ({"prompt": "a", "completion": "b"}, "sft", "completion"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "dpo", "preference"),
        ({"question": "a", "answer": "b"}, "grpo", "problem"),
        ({"text": "a"}, "pretrain", "text"),
    ],
)
def test_the_format_is_guessed(tmp_path: Path, row: dict[str, Any], stage: str, expected: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    source = open_source("rows", SourceSpec(path=str(path)), stage=stage, rationale="omit", seed=None)
    assert source.format == expected


def test_a_format_that_cannot_be_guessed_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n', encoding="utf-8")
    with pytest.raises(
        InputError,
        match=r"the first records have a; name the format's under fields, or give one",
    ):
        read_all({"path": str(path)})


def test_the_usual_names_of_formats_are_known() -> None:
    usual: dict[str, Any] = {"alpaca": "instruction", "sharegpt": "chat", "openai": "chat"}
    for name, format_ in usual.items():
        assert SourceSpec.model_validate({"path": "a", "format": name}).format == format_


def test_a_tree_of_programs_leaves_out_environments_and_hidden_folders(tmp_path: Path) -> None:
    for place in ("a.py", "src/b.py", ".git/c.py", "env/lib/d.py", "x/site-packages/e.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f"# {place}\n", encoding="utf-8")
    (tmp_path / "env" / "pyvenv.cfg").write_text("", encoding="utf-8")
    texts = [record["text"] for record in read_all({"path": str(tmp_path), "format": "python"}, "pretrain")]
    assert texts == ["# a.py\n", "# src/b.py\n"]
    by_glob = read_all({"path": str(tmp_path / "**" / "*.py"), "format": "python"}, "pretrain")
    assert [record["text"] for record in by_glob] == texts


def test_an_unknown_field_name_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    fields = write_rows(tmp_path, "jsonl") | {"fields": {"inptu": "input"}}
    with pytest.raises(InputError, match=r"fields\.inptu: instruction records have .* Did you mean input\?"):
        opened(fields)


def test_a_compressed_file_other_than_jsonl_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "rows.json.gz").write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    with pytest.raises(InputError, match="no file of a supported kind"):
        opened({"path": str(tmp_path / "rows.json.gz")})


def test_bytes_without_line_ends_or_character_starts_are_refused_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\x80" * 70_000)
    spec = SourceSpec(path=str(tmp_path / "a.txt"), format="text")
    with pytest.raises(InputError, match="not UTF-8"):
        open_source("a", spec, stage="pretrain", rationale="omit", seed=0)


def record_of(form: Format, raw: dict[str, Any], rationale: Rationale = "omit") -> dict[str, Any]:
    return convert(form, RecordFields(raw, "rows.jsonl, line 1", {}, rationale))


@pytest.mark.parametrize(
    "raw",
    [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    ],
    ids=["messages", "conversations"],
)
def test_sft_learns_the_last_answer_of_a_conversation(raw: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    record = record_of("chat", raw)
    assert record["messages"] == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert record["learned"] == [False, True]
    tokenizer: Any = AutoTokenizer.from_pretrained(chat_model(tmp_path / "model"))
    encoded = completion_encoder(tokenizer, max_length=None, completion_only=True)(record, "")
    assert encoded is not None
    learned = [label for label in encoded.columns["labels"] if label >= 0]
    assert tokenizer.decode(learned, skip_special_tokens=True).split() == ["b"]


@pytest.mark.parametrize(
    ("rationale", "prompt", "completion"),
    [
        ("omit", "2 and 2?", "4"),
        ("prompt", "2 and 2?\n\nCount on from 2.", "4"),
        ("completion", "2 and 2?", "Count on from 2.\n\n4"),
    ],
)
def test_the_rationale_is_omitted_or_put_into_prompt_or_completion(
    rationale: Rationale, prompt: str, completion: str
) -> None:
    raw = {"instruction": "2 and 2?", "output": "4", "rationale": "Count on from 2."}
    record = record_of("instruction", raw, rationale)
    assert (record["prompt"][0]["content"], record["completion"][0]["content"]) == (prompt, completion)


def test_sft_refuses_a_program_without_its_solution(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(chat_model(tmp_path / "model"))
    encode = completion_encoder(tokenizer, max_length=None, completion_only=True)
    with pytest.raises(InputError, match=r"rows\.jsonl, line 1: field 'solution' is missing"):
        encode(record_of("problem", {"prompt": "def f():", "tests": "assert f()"}), "rows.jsonl, line 1")


def test_an_answer_with_its_derivation_is_rewarded_by_the_result_after_the_mark() -> None:
    columns = {"letters": ["", ""], "tests": ["", ""], "setup": ["", ""], "entry_point": ["", ""], "begun": ["", ""]}
    right = ["6 times 12 is 72.\n#### 72"] * 2
    assert verified(["It is\n72", "It is\n71"], answer=right, **columns) == [1.0, 0.0]


def test_a_generated_task_resumes_with_the_next_item() -> None:
    from itertools import islice

    from harness.trainers.data.task_reader import TaskReader

    reader = TaskReader(task="mini_logic")
    whole = list(islice(reader.read(Cursor()), 70))
    assert [raw.value for raw in islice(reader.read(whole[64].after), 5)] == [raw.value for raw in whole[65:70]]


def test_a_folder_of_programs_only_is_read_as_python(tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "a.py").write_text("x = 1\n")
    spec = SourceSpec(path=str(tmp_path / "tree"))
    source = open_source("code", spec, stage="pretrain", rationale="omit", seed=None)
    assert [record["text"] for record, _, _ in source.read_epoch(SourcePosition())] == ["x = 1\n"]
    assert source.format == "python"
    (tmp_path / "tree" / "README.md").write_text("Read me.\n")
    mixed = open_source("code", spec, stage="pretrain", rationale="omit", seed=None)
    assert [record["text"] for record, _, _ in mixed.read_epoch(SourcePosition())] == ["Read me.\n"], (
        "text files take precedence over programs"
    )

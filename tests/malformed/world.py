"""Good files of every type that a command reads, and the commands that read them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from harness.cli import main
from tests.models import save_tiny_adapter, save_tiny_gguf, save_tiny_llama
from tests.reports.conftest import evaluate
from tests.tasks_for_tests import CHOICE, write_tasks
from tests.trainers.helpers import CPU, chat_model, instructions, write_jsonl

MANIFEST = {"files": {"greetings": {"path": "greetings.jsonl", "records": 2, "format": "jsonl", "licence": "none"}}}


@dataclass(frozen=True)
class Target:
    """A file of the world and a command that reads it; ``{world}`` and ``{out}`` stand for folders.

    With ``heals``, the command works even if the file is damaged.
    """

    file: str
    words: str
    heals: bool = False

    def command(self, world: Path, out: Path) -> list[str]:
        return [word.format(world=world, out=out) for word in self.words.split()]


EVAL = "eval --tasks t_choice --include_path {world}/tasks --output_path {out} --limit 2 --model {world}/"
SCRIPTED = "eval --backend scripted --model uniform --output_path {out} --limit 2 --include_path {world}/"
TRAIN = "train {world}/stages/"
RESCORE = "rescore {world}/runs/oracle --include_path {world}/tasks"
TO = " --output_path {out}"
EXPORT = "export {world}/runs/oracle --output_path {out} --format "
RECORDS = ("run_*.json", "results_*.json", "samples_*.jsonl")
MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")

TARGETS: Sequence[Target] = (
    *(Target(f"base/{name}", EVAL + "base") for name in (*MODEL_FILES, "generation_config.json")),
    Target("sharded/model.safetensors.index.json", EVAL + "sharded"),
    *(Target(f"adapter/{name}", EVAL + "adapter") for name in ("adapter_config.json", "adapter_model.safetensors")),
    Target("model.gguf", EVAL + "model.gguf"),
    *(Target("child/stage.json", words) for words in (
        "lineage {world}/child", EVAL + "child", TRAIN + "next.yaml" + TO,
    )),
    *(Target(f"tasks/{name}.yaml", words) for name in ("choice", "all") for words in (
        SCRIPTED + "tasks --tasks t_all",
        "tasks list --include_path {world}/tasks",
        "tasks show t_choice --include_path {world}/tasks",
        "tasks validate t_all --include_path {world}/tasks",
    )),
    Target("tasks/items.jsonl", SCRIPTED + "tasks --tasks t_choice"),
    Target("tasks/items.jsonl.gz", SCRIPTED + "tasks --tasks t_gz"),
    Target("tasks/items.parquet", SCRIPTED + "tasks --tasks t_parquet"),
    Target("shelf/data.yaml", "tasks fetch greetings --include_path {world}/shelf --data_dir {world}/shelf"),
    *(Target(f"stages/{name}.yaml", TRAIN + f"{name}.yaml" + TO) for name in ("jsonl", "parquet")),
    *(Target(f"data/train.{end}", TRAIN + f"{name}.yaml" + TO) for end, name in (
        ("jsonl", "jsonl"), ("jsonl.gz", "gz"), ("parquet", "parquet"), ("json", "json"), ("txt", "txt"),
    )),
    *(Target(f"begun/training/{name}", TRAIN + "jsonl.yaml --output_path {world}/begun") for name in (
        "spec.json", "checkpoint-*/stage.json", "checkpoint-*/trainer_state.json",
        "checkpoint-*/model.safetensors", "checkpoint-*/optimizer.pt", "checkpoint-*/rng_state.pth",
    )),
    Target("begun/training/stream.jsonl", TRAIN + "jsonl.yaml --output_path {world}/begun", heals=True),
    *(Target(f"runs/oracle/{name}", words) for name in RECORDS for words in (
        "leaderboard {world}/runs --format json --output_path {out}_board.json",
        "compare {world}/runs/oracle {world}/runs/uniform --format md --output_path {out}_comparison.md",
    )),
    *(Target(f"runs/oracle/{name}", EXPORT + kind) for name in RECORDS for kind in ("every-eval-ever", "hub")),
    *(Target(f"runs/oracle/{name}", RESCORE) for name in ("run_*.json", "samples_*.jsonl")),
    *(Target(f"cache/{name}.sqlite", SCRIPTED + "tasks --tasks t_choice") for name in ("journal", "digests")),
)  # fmt: skip


def build(world: Path) -> Path:
    """Write every file of `TARGETS` below `world`, whose `cache` must be the cache folder; returns `world`."""
    save_tiny_llama(world / "base")
    save_tiny_llama(world / "sharded", shard="50KB")
    save_tiny_adapter(world / "adapter", world / "base")
    save_tiny_gguf(world / "model.gguf", world / "base")
    _tasks(write_tasks(world / "tasks", items=8))
    (world / "shelf").mkdir()
    (world / "shelf" / "data.yaml").write_text(yaml.safe_dump(MANIFEST), encoding="utf-8")
    write_jsonl(world / "shelf" / "greetings.jsonl", [{"text": "hello"}, {"text": "good day"}])
    _training(world)
    evaluate(world / "runs", world / "tasks", "--model", "oracle", "uniform", names="t_choice")
    journalled = Target("", SCRIPTED + "tasks --tasks t_choice").command(world, world / "first")
    assert main(journalled) == 0
    return world


def _tasks(folder: Path) -> None:
    """Add the items again as gzipped JSONL and as Parquet, each with a task that reads them."""
    lines = (folder / "items.jsonl").read_bytes()
    (folder / "items.jsonl.gz").write_bytes(gzip.compress(lines))
    pd.DataFrame([json.loads(line) for line in lines.splitlines()]).to_parquet(folder / "items.parquet")
    gz = CHOICE.format(name="t_gz", data=folder / "items.jsonl.gz", domain="logic")
    (folder / "gz.yaml").write_text(gz, encoding="utf-8")
    parquet = CHOICE.format(name="t_parquet", data=folder / "items.parquet", domain="logic")
    (folder / "parquet.yaml").write_text(parquet.replace("path: json", "path: parquet"), encoding="utf-8")


def _training(world: Path) -> None:
    """Write training data of every type, a stage file for each, an unfinished stage, and a finished child stage."""
    records: list[dict[str, Any]] = list(instructions(40))
    data, stages = world / "data", world / "stages"
    data.mkdir()
    stages.mkdir()
    lines = write_jsonl(data / "train.jsonl", records).read_bytes()
    (data / "train.jsonl.gz").write_bytes(gzip.compress(lines))
    (data / "train.json").write_text(json.dumps(records), encoding="utf-8")
    pd.DataFrame(records).to_parquet(data / "train.parquet")
    (data / "train.txt").write_text(" ".join(record["output"] for record in records), encoding="utf-8")
    parent = chat_model(world / "parent")
    for name, end in {"jsonl": "jsonl", "gz": "jsonl.gz", "parquet": "parquet", "json": "json", "txt": "txt"}.items():
        source = {"path": str(data / f"train.{end}"), "format": "text" if end == "txt" else "instruction"}
        spec = {
            "stage": "pretrain" if end == "txt" else "sft",
            "name": name,
            "from": str(parent),
            "data": {"budget_tokens": 4000, "sources": {"one": source}},
            "trainer": {**CPU, "max_length": 64, "save_steps": 1, "per_device_train_batch_size": 64},
        }
        (stages / f"{name}.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        if name == "jsonl":
            next_stage = {**spec, "name": "next", "from": str(world / "child")}
            (stages / "next.yaml").write_text(yaml.safe_dump(next_stage), encoding="utf-8")
    for name in ("child", "begun"):
        assert main(["train", str(stages / "jsonl.yaml"), "--output_path", str(world / name)]) == 0
    for path in (world / "begun").iterdir():
        if path.is_file():
            path.unlink()
    assert (world / "begun" / "training" / "spec.json").is_file()

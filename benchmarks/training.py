"""Tokens per second of each stage and of the bare library's trainer: same model, data, order and configuration.

    python -m benchmarks.training --data DIR [--stages pretrain sft dpo kto grpo] [--steps 12] [--rounds 5]

DIR is the data folder (HARNESS_DATA). The model is new and has 30 million parameters, small enough for the overhead to
show. Both sides run in this process, in alternating order. A round covers everything from raw records to the last
saved state and the final weights: reading, tokenizing, planning and, on our side, the manifest. The overhead is that
of the medians of processor time, which a busy machine affects less than wall time; both times are kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, Trainer, TrainingArguments

from harness.checkpoints.stage_manifest import read_manifest
from harness.trainers import dpo, grpo, kto, pretrain, sft
from harness.trainers.data.formats import Format, convert
from harness.trainers.data.opening import FILE_READERS
from harness.trainers.data.readers import Cursor
from harness.trainers.data.record_fields import RecordFields
from harness.trainers.stage.prepare import prepare

RESULTS = Path(__file__).parent / "results" / "training.jsonl"
METHODS = {"pretrain": pretrain, "sft": sft, "dpo": dpo, "kto": kto, "grpo": grpo}
LENGTH, BATCH = 256, 4
COMMON: dict[str, Any] = {
    "use_cpu": not torch.cuda.is_available(), "per_device_train_batch_size": BATCH, "learning_rate": 1e-4,
    "gradient_checkpointing": False, "save_steps": 6, "save_total_limit": 2, "logging_steps": 1,
}  # fmt: skip
BARE: dict[str, Any] = {
    **COMMON, "bf16": torch.cuda.is_available(), "seed": 0, "report_to": "none", "disable_tqdm": True,
    "dataloader_pin_memory": False, "train_sampling_strategy": "sequential", "save_strategy": "steps",
}  # fmt: skip
GRPO: dict[str, Any] = {"num_generations": 4, "max_completion_length": 16}


def new_model(data: Path, folder: Path) -> Path:
    """Write a new model of 30 million parameters and its tokenizer, as `pretrain` makes them; return its folder."""
    from transformers import set_seed

    from harness.trainers.data.opening import open_source
    from harness.trainers.data.spec import SourceSpec
    from harness.trainers.stage.models import model_config
    from harness.trainers.stage.spec import parse
    from harness.trainers.stage.tokenizers import load_tokenizer

    source = {"path": str(data / "books" / "Lewis_Carroll"), "format": "text"}
    spec = parse(
        {
            "stage": "pretrain", "name": "new", "architecture": "30m", "tokenizer": {"vocab_size": 8192},
            "data": {"budget_tokens": 1, "sources": {"text": source}},
        },
        "pretrain",
    )  # fmt: skip
    opened = open_source("text", SourceSpec.model_validate(source), stage="pretrain", rationale="omit", seed=0)
    tokenizer = load_tokenizer(spec, None, [opened], None)
    set_seed(0)
    causal: Any = AutoModelForCausalLM
    causal.from_config(model_config(spec, None, tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def spec_of(stage: str, data: Path, model: Path, budget: int) -> dict[str, Any]:
    """Return the stage file of one measurement."""
    more = GRPO if stage == "grpo" else {"max_length": LENGTH}
    return {
        "stage": stage, "name": stage, "from": str(model), "trainer": {**COMMON, **more},
        "data": {"budget_tokens": budget, "shuffle": False, "sources": {"one": source_of(stage, data, model.parent)}},
    }  # fmt: skip


def source_of(stage: str, data: Path, folder: Path) -> dict[str, Any]:
    """Return the source that a stage trains on; files derived from the data are written to `folder`."""
    if stage == "pretrain":
        return {"path": str(data / "books" / "Lewis_Carroll"), "format": "text"}
    if stage == "sft":
        return {"path": str(data / "alpaca" / "alpaca_data.json"), "format": "instruction"}
    if stage == "dpo":
        return {"path": str(pairs_of_one_turn(data, folder)), "format": "preference"}
    if stage == "kto":
        return {"path": str(marked_answers(data, folder)), "format": "marked_answer"}
    return {"task": "mini_logic"}


def budget_for(stage: str, data: Path, model: Path, steps: int, folder: Path) -> int:
    """Return the tokens of the stream's first sequences, which that many steps consume."""
    if stage == "pretrain":
        return LENGTH * BATCH * steps
    mixture = prepare(METHODS[stage].METHOD, spec_of(stage, data, model, 10**9), folder).mixture
    sequences = steps * (BATCH // GRPO["num_generations"] if stage == "grpo" else BATCH)
    return sum(sequence.tokens for sequence in itertools.islice(mixture.stream(), sequences))


def marked_answers(data: Path, folder: Path) -> Path:
    """Return a file of instructions whose answers are marked as good and bad in turn."""
    path = folder / "marked_answers.jsonl"
    if not path.exists():
        records = json.loads((data / "alpaca" / "alpaca_data.json").read_text(encoding="utf-8"))[:2000]
        lines = [json.dumps({**record, "label": number % 2 == 0}) for number, record in enumerate(records)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pairs_of_one_turn(data: Path, folder: Path) -> Path:
    """Return a file of the preference pairs whose prompt is one message; longer ones need a chat template."""
    path = folder / "pairs_of_one_turn.jsonl"
    if not path.exists():
        records = json.loads((data / "llama_factory" / "dpo_en_demo.json").read_text(encoding="utf-8"))
        lines = [json.dumps(record) for record in records if len(record["conversations"]) == 1]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def raw_records(stage: str, data: Path, model: Path, count: int) -> list[Any]:
    """Return records as the library's users would give them, in file order."""
    source = spec_of(stage, data, model, 1)["data"]["sources"]["one"]
    path, form = Path(source["path"]), cast(Format, source["format"])
    raws = itertools.islice(FILE_READERS[path.suffix](path, Cursor()), count)
    return [_plain(convert(form, RecordFields(raw.value, raw.where, {}))) for raw in raws]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Join messages as `encoding` does without a chat template: a blank line after each message of the prompt."""
    prompt = "".join(turn["content"] + "\n\n" for turn in record["prompt"])
    rest = {name: value[0]["content"] if isinstance(value, list) else value for name, value in record.items()}
    return {**rest, "prompt": prompt}


def bare_trainer(stage: str, data: Path, model_folder: Path, sequences: int, steps: int, out: Path) -> Any:
    """Return the library's trainer as its documentation shows it, on the same records."""
    import trl

    causal: Any = AutoModelForCausalLM
    model = causal.from_pretrained(model_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    settings = {**BARE, "output_dir": str(out), "max_steps": steps}
    if stage == "pretrain":
        rows, collate = packed_by_hand(data, tokenizer, sequences)
        arguments: Any = TrainingArguments
        return Trainer(model=model, args=arguments(**settings), train_dataset=rows, data_collator=collate)
    if stage == "sft":
        rows = Dataset.from_list(raw_records(stage, data, model_folder, sequences))
        config = trl.SFTConfig(max_length=LENGTH, **settings)
        return trl.SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    if stage in ("dpo", "kto"):
        from copy import deepcopy

        # Both sides drop records whose prompt fills max_length; twice as many leave enough for whole batches.
        rows = Dataset.from_list(raw_records(stage, data, model_folder, 2 * sequences + 8))
        config_class, trainer_class = {
            "dpo": (trl.DPOConfig, trl.DPOTrainer), "kto": (trl.KTOConfig, trl.KTOTrainer),
        }[stage]  # fmt: skip
        config = config_class(max_length=LENGTH, **settings)
        trainer = trainer_class(
            model=model, ref_model=deepcopy(model), args=config, train_dataset=rows, processing_class=tokenizer
        )
        left = len(trainer.train_dataset)
        assert left >= sequences, f"{left} records are left, {sequences} are needed: the last batch would be short"
        return trainer
    from harness.trainers.rewards import verified

    mixture = prepare(grpo.METHOD, spec_of("grpo", data, model_folder, 10**9), out).mixture
    prompts = [sequence.columns for sequence in itertools.islice(mixture.stream(), sequences)]
    return trl.GRPOTrainer(
        model=model,
        reward_funcs=verified,
        args=trl.GRPOConfig(shuffle_dataset=False, **settings, **GRPO),
        train_dataset=Dataset.from_list(prompts),
        processing_class=tokenizer,
    )


def packed_by_hand(data: Path, tokenizer: Any, sequences: int) -> tuple[Dataset, Callable[[Any], Any]]:
    """Concatenate and cut, as users of the plain Trainer do; return one row per sequence, and the collator."""
    ids: list[int] = []
    for path in sorted((data / "books" / "Lewis_Carroll").iterdir()):
        ids += [*tokenizer(path.read_text(encoding="utf-8"))["input_ids"], tokenizer.eos_token_id]
        if len(ids) >= sequences * LENGTH:
            break
    rows = [ids[begin : begin + LENGTH] for begin in range(0, sequences * LENGTH, LENGTH)]

    def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
        tokens = torch.tensor([row["input_ids"] for row in batch])
        positions = torch.arange(LENGTH).repeat(
            len(batch), 1
        )  # explicit, as ours are: the model looks for documents in them
        return {"input_ids": tokens, "labels": tokens.clone(), "position_ids": positions, "use_cache": False}

    return Dataset.from_list([{"input_ids": row} for row in rows]), collate


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return processor seconds and wall seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


def measure(stage: str, data: Path, model: Path, *, steps: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure both sides in alternating order; return the row."""
    spec = spec_of(stage, data, model, budget_for(stage, data, model, steps, folder / "counted"))
    out = folder / "ours"
    tokens = sequences = 0

    def ours() -> None:
        METHODS[stage].train(spec, out)

    def bare() -> None:
        trainer = bare_trainer(stage, data, model, sequences, steps, folder / "bare")
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.save_model(str(folder / "bare" / "final"))

    times: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
    for number in range(rounds + 1):  # round 0 warms up
        order: list[tuple[str, Callable[[], None]]] = [("ours", ours), ("bare", bare)]
        for side, work in order if number % 2 == 0 else order[::-1]:
            shutil.rmtree(folder / side, ignore_errors=True)
            spent = timed(work)
            if number:
                times[side].append(spent)
            if side == "ours":
                manifest = read_manifest(out)
                assert manifest is not None
                assert manifest.step == steps
                tokens, sequences = manifest.tokens, manifest.sequences
    processor = {side: statistics.median(spent[0] for spent in measured) for side, measured in times.items()}
    clock = {side: statistics.median(spent[1] for spent in measured) for side, measured in times.items()}
    return {
        "stage": stage, "steps": steps, "tokens": tokens, "rounds": rounds,
        "tokens_per_processor_second": {side: round(tokens / spent, 1) for side, spent in processor.items()},
        "tokens_per_second": {side: round(tokens / spent, 1) for side, spent in clock.items()},
        "overhead_percent": round(100 * (processor["ours"] / processor["bare"] - 1), 2),
        "overhead_percent_by_clock": round(100 * (clock["ours"] / clock["bare"] - 1), 2),
        "processor_seconds": {side: [round(spent[0], 2) for spent in measured] for side, measured in times.items()},
    }  # fmt: skip


def main() -> None:
    """Measure; print the rows and append them to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    machine = {
        "torch": torch.__version__, "threads": torch.get_num_threads(), "cpus": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        model = new_model(args.data, Path(temporary) / "model")
        for stage in args.stages:
            row = measure(stage, args.data, model, steps=args.steps, rounds=args.rounds, folder=Path(temporary) / stage)
            row |= {**machine, "load": round(os.getloadavg()[0], 1)}
            print(json.dumps(row), flush=True)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()

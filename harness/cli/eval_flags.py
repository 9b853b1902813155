"""The flags of ``harness eval``, with lm-eval's names where lm-eval has one. `lm_eval_flags` has those with a note."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli import flag_values as read


def add_task_flags(group: argparse._ArgumentGroup) -> None:
    """Declare what is evaluated, and where the record goes."""
    group.add_argument(
        "--model",
        "-M",
        nargs="+",
        metavar="CKPT",
        help="one or more of: transformers folder, PEFT adapter folder, .gguf file, hub id (org/name@v1), folder of "
        "checkpoint-*; or as in lm-eval: hf, vllm, local-completions, ... with --model_args pretrained=CKPT",
    )
    group.add_argument(
        "--tasks",
        "-t",
        nargs="+",
        action="extend",
        required=True,
        metavar="NAMES",
        help="tasks, groups, globs or YAML files, separated by commas; all: every task of `harness tasks list`",
    )
    group.add_argument(
        "--output_path",
        "-o",
        type=Path,
        metavar="DIR",
        help="folder for the records, or a .json file as in lm-eval (default: no record)",
    )
    group.add_argument(
        "--limit", "-L", type=read.limit, metavar="N", help="items per task: a count, or a share below 1"
    )
    group.add_argument(
        "--samples",
        "-E",
        type=read.item_numbers,
        metavar="JSON|FILE",
        help="item numbers by task, such as '{\"arc_easy\": [0, 3]}'; other tasks are evaluated whole",
    )
    group.add_argument(
        "--include_path",
        type=read.folders,
        action="extend",
        default=[],
        metavar="DIR",
        help="folder of task YAML files, or several as a:b; repeatable",
    )
    group.add_argument(
        "--data_dir",
        type=Path,
        metavar="DIR",
        help="folder of benchmark data in upstream's layout (default: HARNESS_DATA)",
    )


def add_prompt_flags(group: argparse._ArgumentGroup) -> None:
    """Declare what decides the prompts and how texts are generated."""
    group.add_argument(
        "--num_fewshot", "-f", type=read.count, metavar="K", help="examples in the prompt (default: the task's)"
    )
    group.add_argument(
        "--apply_chat_template",
        nargs="?",
        const=True,
        default=False,
        metavar="NAME",
        help="render prompts as chats with the tokenizer's template, or with its template NAME",
    )
    group.add_argument(
        "--chat_template_args",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="variables of the chat template, such as enable_thinking=False",
    )
    group.add_argument(
        "--fewshot_as_multiturn",
        nargs="?",
        const=True,
        default=None,
        type=read.truth,
        metavar="BOOL",
        help="put each example into its own chat turns (default: on with a chat template)",
    )
    group.add_argument("--system_instruction", metavar="TEXT", help="system message")
    group.add_argument(
        "--system_as_user",
        action="store_true",
        help="put the system message in front of the first user message, for chat templates without a system role",
    )
    group.add_argument(
        "--think_end",
        metavar="TOKEN",
        type=read.word,
        help="closing tag of a model's reasoning, which is not scored, or none (default: with a chat template, the "
        "tokenizer's, such as </think>)",
    )
    group.add_argument(
        "--gen_kwargs",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override generation arguments",
    )
    group.add_argument(
        "--seed",
        type=read.seeds,
        default=None,
        metavar="N",
        help="one seed for everything, or lm-eval's four: random,numpy,torch,fewshot (default 0,1234,1234,1234)",
    )
    group.add_argument(
        "--metadata",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="passed to task configs: pairs or a JSON object",
    )


def add_engine_flags(group: argparse._ArgumentGroup) -> None:
    """Declare which engine runs the model, and how."""
    group.add_argument(
        "--backend",
        default="auto",
        metavar="NAME",
        help="auto, hf, vllm, scripted (--model oracle, corrupted or uniform) or lm-eval:NAME",
    )
    group.add_argument(
        "--batch_size",
        "-b",
        type=read.batch_size,
        default="auto",
        metavar="auto|N",
        help="sequences per forward pass (hf: a budget of 256 N tokens)",
    )
    group.add_argument(
        "--dtype",
        type=read.dtype,
        default="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="auto: the checkpoint's own",
    )
    group.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument(
        "--max_length", type=read.positive, metavar="TOKENS", help="longest input (default: the model's)"
    )
    group.add_argument(
        "--model_args",
        "-a",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="further engine arguments; as in lm-eval also pretrained, peft, tokenizer, dtype, ...",
    )
    group.add_argument(
        "--tokenizer",
        metavar="PATH_OR_ID",
        help="tokenizer folder or hub id (default: the checkpoint's own, else that in the folder above)",
    )
    group.add_argument(
        "--base", metavar="PATH_OR_ID", help="base model of a PEFT adapter (default: the one that its config names)"
    )
    group.add_argument(
        "--replicas",
        type=read.positive_or_auto,
        metavar="N|auto",
        help="copies of the model that share the requests; auto: one per GPU, or per 8 cores (default: one, in this "
        "process)",
    )
    group.add_argument(
        "--on",
        type=read.on_ray,
        metavar="ray[:ADDRESS]",
        help="where replicas run: on a Ray cluster, such as ray:HOST:6379 (default: this machine)",
    )
    group.add_argument("--revision", metavar="REV", help="commit, tag or branch of hub ids without their own")
    group.add_argument("--trust_remote_code", action="store_true", help="run code that comes with a checkpoint")
    group.add_argument("--allow_pickle", action="store_true", help="load weights in pickle format")
    group.add_argument("--unsafe_code", choices=("allow",), help="run model-written programs without a sandbox")
    group.add_argument(
        "--confirm_run_unsafe_code",
        action="store_true",
        help="run lm-eval's own code tasks without a sandbox; this project's tasks keep theirs",
    )


def add_record_flags(group: argparse._ArgumentGroup) -> None:
    """Declare what is kept, shown and tolerated."""
    group.add_argument(
        "--allow_failures", type=read.count, default=0, metavar="N", help="exit with 0 if at most N requests fail"
    )
    group.add_argument(
        "--engine_timeout",
        type=read.seconds,
        metavar="SECONDS",
        help="stop if a batch takes longer; the remaining requests fail as timeout (default: no limit)",
    )
    group.add_argument(
        "--use_cache",
        "-c",
        type=Path,
        metavar="FILE",
        help="the journal: a file for the answers (default: journal.sqlite in the cache folder)",
    )
    group.add_argument("--no_cache", action="store_true", help="do not read or write the journal")
    group.add_argument(
        "--predict_only",
        "-x",
        action="store_true",
        help="record the answers without scores; `harness rescore` scores them later",
    )
    group.add_argument("--write_out", "-w", action="store_true", help="print the first prompt of each task")
    group.add_argument(
        "--show_config", action="store_true", help="print lm-eval's results with all task settings, as JSON"
    )
    group.add_argument("--verbosity", "-v", type=read.level, metavar="LEVEL", help="messages to show: DEBUG, INFO, ...")
    group.add_argument(
        "--progress_path", type=Path, metavar="FILE", help="file for answered requests, speed and time left, in JSON"
    )
    group.add_argument(
        "--verify", action="store_true", help="hash the weights again, even if their digest is remembered"
    )
    group.add_argument(
        "--dry_run", action="store_true", help="run the whole pipeline with scripted answers; write nothing"
    )

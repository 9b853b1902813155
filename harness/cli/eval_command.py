"""``harness eval``: flags into options, an evaluation, and its tables on the terminal."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.flags import add_wide

if TYPE_CHECKING:
    from harness.engines.replicated.ranks import Rank
    from harness.evaluation.progress_file import ProgressFile
    from harness.evaluation.spec import EvaluationSpec

PURPOSE = "Score checkpoints on tasks and write a record; a killed run resumes."
SEEDS = ("random", "numpy", "torch", "fewshot")  # the order of --seed, as in lm-eval
EXAMPLES = """examples:
  harness eval --model runs/sft --tasks reasoning_mini --output_path runs/eval
  harness eval --model org/name --tasks arc_easy,hellaswag --num_fewshot 5 --output_path runs/eval
  harness eval --model runs/pretrain --tasks reasoning --output_path runs/eval      (every checkpoint-* in it)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags, with lm-eval's names where lm-eval has one."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("what to evaluate")
    what.add_argument(
        "--model",
        "-M",
        nargs="+",
        required=True,
        metavar="CKPT",
        help="one or more of: transformers folder, PEFT adapter folder, .gguf file, hub id (org/name@v1), folder of "
        "checkpoint-*",
    )
    what.add_argument(
        "--tasks",
        nargs="+",
        required=True,
        metavar="NAMES",
        help="tasks, groups or globs, separated by commas; see harness tasks list",
    )
    what.add_argument(
        "--output_path", type=Path, metavar="DIR", help="folder for the records (required unless --dry_run)"
    )
    what.add_argument("--limit", type=_limit, metavar="N", help="items per task: a count, or a share below 1")
    what.add_argument(
        "--include_path",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of task YAML files; repeatable",
    )
    what.add_argument(
        "--data_dir",
        type=Path,
        metavar="DIR",
        help="folder of benchmark data in upstream's layout (default: HARNESS_DATA)",
    )
    _add_prompt_flags(parser.add_argument_group("prompts"))
    _add_engine_flags(parser.add_argument_group("engine"))
    _add_record_flags(parser.add_argument_group("record"))


def _add_prompt_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--num_fewshot", type=_count, metavar="K", help="examples in the prompt (default: the task's)")
    group.add_argument(
        "--apply_chat_template",
        nargs="?",
        const=True,
        default=False,
        metavar="NAME",
        help="render prompts as chats with the tokenizer's template, or with its template NAME",
    )
    group.add_argument(
        "--fewshot_as_multiturn",
        nargs="?",
        const=True,
        default=None,
        type=_truth,
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
        type=_word,
        help="closing tag of a model's reasoning, which is not scored, or none (default: with a chat template, the "
        "tokenizer's, such as </think>)",
    )
    group.add_argument("--gen_kwargs", nargs="+", default=[], metavar="KEY=VALUE", help="override generation arguments")
    group.add_argument(
        "--seed",
        type=_seeds,
        default=None,
        metavar="N",
        help="one seed for everything, or lm-eval's four: random,numpy,torch,fewshot (default 0,1234,1234,1234)",
    )
    group.add_argument("--metadata", type=_json_object, default={}, metavar="JSON", help="passed to task configs")


def _add_engine_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--backend",
        default="auto",
        metavar="NAME",
        help="auto, hf, vllm, scripted (--model oracle, corrupted or uniform) or lm-eval:NAME",
    )
    group.add_argument(
        "--batch_size",
        type=_positive_or_auto,
        default="auto",
        metavar="auto|N",
        help="sequences per forward pass (hf: a budget of 256 N tokens)",
    )
    group.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="auto: the checkpoint's own"
    )
    group.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument("--max_length", type=_positive, metavar="TOKENS", help="longest input (default: the model's)")
    group.add_argument("--model_args", nargs="+", default=[], metavar="KEY=VALUE", help="further engine arguments")
    group.add_argument(
        "--tokenizer",
        metavar="PATH_OR_ID",
        help="tokenizer folder or hub id (default: the checkpoint's own, else that in the folder above)",
    )
    group.add_argument(
        "--replicas",
        type=_positive_or_auto,
        metavar="N|auto",
        help="copies of the model that share the requests; auto: one per GPU, or per 8 cores (default: one, in this "
        "process)",
    )
    group.add_argument(
        "--on",
        type=_on,
        metavar="ray[:ADDRESS]",
        help="where replicas run: on a Ray cluster, such as ray:HOST:6379 (default: this machine)",
    )
    group.add_argument("--revision", metavar="REV", help="commit, tag or branch of hub ids without their own")
    group.add_argument("--trust_remote_code", action="store_true", help="run code that comes with a checkpoint")
    group.add_argument("--allow_pickle", action="store_true", help="load weights in pickle format")
    group.add_argument("--unsafe_code", choices=("allow",), help="run model-written programs without a sandbox")


def _add_record_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--allow_failures", type=_count, default=0, metavar="N", help="exit with 0 if at most N requests fail"
    )
    group.add_argument(
        "--engine_timeout",
        type=_seconds,
        metavar="SECONDS",
        help="stop if a batch takes longer; the remaining requests fail as timeout (default: no limit)",
    )
    group.add_argument(
        "--use_cache",
        type=Path,
        metavar="FILE",
        help="the journal: a file for the answers (default: journal.sqlite in the cache folder)",
    )
    group.add_argument("--no_cache", action="store_true", help="do not read or write the journal")
    group.add_argument(
        "--progress_path", type=Path, metavar="FILE", help="file for answered requests, speed and time left, in JSON"
    )
    group.add_argument(
        "--verify", action="store_true", help="hash the weights again, even if their digest is remembered"
    )
    group.add_argument(
        "--dry_run", action="store_true", help="run the whole pipeline with scripted answers; write nothing"
    )
    add_wide(group)


def _word(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give a tag such as </think>, or none")
    return text


def run(args: argparse.Namespace) -> int:
    """Evaluate every model; returns 0, or 1 when more requests failed than --allow_failures allows."""
    if args.output_path is None and not args.dry_run:
        raise InputError("--output_path: missing; give a folder for the records, or --dry_run to write none.")
    from harness.console import quiet_libraries

    quiet_libraries()
    spec, rank = evaluation_spec(args), _rank(args)
    if rank is not None and rank.number > 0:
        from harness.engines.replicated.ranks import follow

        return 0 if args.dry_run else follow(rank, sys.argv[1:])
    return _evaluate(spec, rank, _progress_file(args), wide=args.wide)


def _rank(args: argparse.Namespace) -> Rank | None:
    """Return the rank of this process and restrict it to its own GPU; None if it is the only process.

    Raises:
        InputError: the rank variables are wrong, or the command also asks for replicas.
    """
    from harness.engines.replicated.ranks import this_rank

    rank = this_rank(os.environ)
    if rank is None:
        return None
    for flag, value in (("--replicas", args.replicas), ("--on", args.on)):
        if value is not None:
            raise InputError(
                f"{flag} {value}: the {rank.size} ranks are the replicas already; remove {flag}, or start the command "
                "without torchrun."
            )
    from harness.engines.replicated.devices import own_gpu

    os.environ.update(own_gpu(rank.local))
    return rank


def _evaluate(spec: EvaluationSpec, rank: Rank | None, file: ProgressFile | None, *, wide: bool) -> int:
    from harness.cli.console import EvalProgress, print_failures, print_run
    from harness.evaluation.run import evaluate_all
    from harness.evaluation.teams import open_team

    complete = True
    with open_team(spec, rank, sys.argv[1:]) as team, EvalProgress(file) as progress:
        for done in evaluate_all(spec, progress, team):
            progress.pause()
            print_run(done, wide=wide)
            print_failures(done.record)
            complete = complete and done.record.complete
    return 0 if complete else 1


def _progress_file(args: argparse.Namespace) -> ProgressFile | None:
    """Raises: InputError: its folder does not exist."""
    from harness.checkpoints.resolver import expand
    from harness.evaluation.progress_file import ProgressFile

    if args.progress_path is None:
        return None
    if not args.progress_path.parent.is_dir():
        raise InputError(f"--progress_path {args.progress_path}: its folder does not exist; make it, or give another.")
    return ProgressFile(args.progress_path, models=sum(len(expand(name)) for name in args.model))


def evaluation_spec(args: argparse.Namespace) -> EvaluationSpec:
    """Return the options that parsed flags mean. Raises: InputError: two of them do not fit together."""
    from harness.engines.spec import EngineSpec
    from harness.evaluation.requests import PromptSpec, Seeds
    from harness.evaluation.spec import EvaluationSpec

    chat = args.apply_chat_template
    if args.fewshot_as_multiturn and not chat:
        raise InputError("--fewshot_as_multiturn true: needs --apply_chat_template; add it, or leave this flag out.")
    if args.system_as_user and not chat:
        raise InputError("--system_as_user: needs --apply_chat_template; add it, or leave this flag out.")
    if args.use_cache is not None and args.no_cache:
        raise InputError("--no_cache: keeps no answers, but --use_cache names a file for them; remove one of them.")
    if args.use_cache is not None and args.use_cache.is_dir():
        raise InputError(f"--use_cache {args.use_cache}: is a folder; give a file, such as journal.sqlite in it.")
    return EvaluationSpec(
        models=tuple(args.model),
        tasks=tuple(_names(args.tasks)),
        output=None if args.dry_run else args.output_path,
        include_paths=tuple(args.include_path),
        data_dir=args.data_dir,
        metadata=args.metadata,
        prompt=PromptSpec(
            limit=args.limit,
            num_fewshot=args.num_fewshot,
            gen_kwargs=_pairs("--gen_kwargs", args.gen_kwargs),
            system_instruction=args.system_instruction,
            system_as_user=args.system_as_user,
            apply_chat_template=chat,
            fewshot_as_multiturn=bool(chat) if args.fewshot_as_multiturn is None else args.fewshot_as_multiturn,
            seeds=Seeds(**dict(zip(SEEDS, args.seed, strict=True))) if args.seed else Seeds(),
        ),
        engine=EngineSpec(
            backend=args.backend,
            dtype=args.dtype,
            device=args.device,
            batch_size=args.batch_size,
            max_length=args.max_length,
            trust_remote_code=args.trust_remote_code,
            allow_pickle=args.allow_pickle,
            model_args=_pairs("--model_args", args.model_args),
            think_end=args.think_end,
        ),
        revision=args.revision,
        tokenizer=args.tokenizer,
        allow_failures=args.allow_failures,
        engine_timeout_seconds=args.engine_timeout,
        use_journal=not args.no_cache and not args.dry_run,
        journal=args.use_cache,
        verify=args.verify,
        replicas=args.replicas,
        on=args.on,
        unsafe_code=args.unsafe_code == "allow",
        command=shlex.join(["harness", *sys.argv[1:]]),
    )


def _names(words: Sequence[str]) -> list[str]:
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    if not names:
        raise InputError(
            "--tasks: no names; give tasks or groups separated by commas. `harness tasks list` shows them."
        )
    return names


def _pairs(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs, separated by spaces or commas, or one JSON object, as lm-eval does."""
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            return _json_object(words[0])
        except argparse.ArgumentTypeError as error:
            raise InputError(f"{flag} {words[0]}: {error}") from None
    from lm_eval.utils import simple_parse_args_string

    wrong = [part for word in words for part in word.split(",") if part and "=" not in part]
    if wrong:
        raise InputError(f"{flag} {wrong[0]}: not key=value; write for example {flag} temperature=0.")
    pairs: dict[str, Any] = simple_parse_args_string(",".join(words))
    return pairs


def _limit(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of items from 1, or a share between 0 and 1")
    return value


def _count(text: str) -> int:
    value = _number(text)
    if value < 0 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 0")
    return int(value)


def _positive(text: str) -> int:
    value = _number(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of 1 or more")
    return int(value)


def _seconds(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: give a number of seconds above 0")
    return value


def _positive_or_auto(text: str) -> int | str:
    try:
        return "auto" if text == "auto" else _positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of 1 or more, or auto") from None


def _on(text: str) -> str:
    name, colon, address = text.partition(":")
    if name != "ray" or bool(colon) != bool(address):
        raise argparse.ArgumentTypeError(f"{text}: give ray, or ray:ADDRESS such as ray:HOST:6379")
    return text


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: not a number; give one") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: not a finite number")
    return value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "1", "yes", "false", "0", "no"):
        raise argparse.ArgumentTypeError(f"{text}: give true or false")
    return text.lower() in ("true", "1", "yes")


def _seeds(text: str) -> tuple[int | None, ...]:
    """One number for all four seeds, or up to four: a missing one is lm-eval's default, ``None`` sets none."""
    defaults: list[int | None] = [0, 1234, 1234, 1234]
    parts = text.split(",")
    try:
        given = [None if part == "None" else int(part) for part in parts]
    except ValueError:
        given = []
    if not 1 <= len(given) <= 4 or any(seed is not None and not 0 <= seed < 2**32 for seed in given):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 0, or random,numpy,torch,fewshot")
    return tuple(given * 4) if len(given) == 1 else tuple(given + defaults[len(given) :])


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); give an object such as '{{\"key\": 1}}'") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text}: give a JSON object")
    return value

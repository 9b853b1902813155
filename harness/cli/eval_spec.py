"""Parsed flags of ``harness eval`` into `EvaluationSpec`. Prints nothing and needs no terminal."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from harness.cli.flag_values import checked_items, names, pairs
from harness.cli.lm_eval_model import in_own_words
from harness.errors import InputError
from harness.paths import check_data_dir
from harness.redaction import recorded_command

if TYPE_CHECKING:
    from harness.engines.spec import EngineSpec
    from harness.evaluation.requests import PromptSpec
    from harness.evaluation.spec import EvaluationSpec

SEEDS = ("random", "numpy", "torch", "fewshot")  # the order of --seed, as in lm-eval


def evaluation_spec(args: argparse.Namespace) -> EvaluationSpec:
    """Return the options that parsed flags mean, whether in this project's words or lm-eval's.

    Raises:
        InputError: two of them do not fit together, or one of lm-eval's has no equivalent.
    """
    return spec_of_own_words(in_own_words(args).args)


def spec_of_own_words(args: argparse.Namespace) -> EvaluationSpec:
    """Return the options that flags mean after `in_own_words`. Raises: InputError: two do not fit together."""
    from harness.evaluation.spec import EvaluationSpec

    _check_together(args)
    return EvaluationSpec(
        models=tuple(args.model),
        tasks=tuple(names("--tasks", args.tasks)),
        output=None if args.dry_run else args.output_path,
        dry_run=args.dry_run,
        include_paths=tuple(args.include_path),
        data_dir=args.data_dir,
        metadata=pairs("--metadata", args.metadata),
        prompt=_prompt(args),
        engine=_engine(args),
        revision=args.revision,
        tokenizer=args.tokenizer,
        base=args.base,
        allow_failures=args.allow_failures,
        engine_timeout_seconds=args.engine_timeout,
        use_journal=not args.no_cache and not args.dry_run,
        journal=args.use_cache,
        verify=args.verify,
        replicas=args.replicas,
        on=args.on,
        unsafe_code=args.unsafe_code == "allow",
        unsafe_tasks=args.confirm_run_unsafe_code,
        predict_only=args.predict_only,
        command=recorded_command(["harness", *sys.argv[1:]]),
    )


def _check_together(args: argparse.Namespace) -> None:
    chat = args.apply_chat_template
    if args.fewshot_as_multiturn and not chat:
        raise InputError("--fewshot_as_multiturn true: needs --apply_chat_template; add it, or leave this flag out.")
    if args.system_as_user and not chat:
        raise InputError("--system_as_user: needs --apply_chat_template; add it, or leave this flag out.")
    if args.samples and args.limit is not None:
        raise InputError("--limit: cannot be combined with --samples, which names the items; remove one of them.")
    if args.use_cache is not None and args.no_cache:
        raise InputError("--no_cache: keeps no answers, but --use_cache names a file for them; remove one of them.")
    if args.use_cache is not None and args.use_cache.is_dir():
        raise InputError(f"--use_cache {args.use_cache}: is a folder; give a file, such as journal.sqlite in it.")
    if args.predict_only and args.output_path is None and not args.dry_run:
        raise InputError("--predict_only: needs a record for the answers; add --output_path DIR.")
    check_data_dir(args.data_dir)


def _prompt(args: argparse.Namespace) -> PromptSpec:
    from harness.evaluation.requests import PromptSpec, Seeds

    chat = args.apply_chat_template
    return PromptSpec(
        limit=args.limit,
        samples=_items(args),
        num_fewshot=args.num_fewshot,
        gen_kwargs=pairs("--gen_kwargs", args.gen_kwargs),
        system_instruction=args.system_instruction,
        system_as_user=args.system_as_user,
        apply_chat_template=chat,
        chat_template_args=pairs("--chat_template_args", args.chat_template_args),
        fewshot_as_multiturn=bool(chat) if args.fewshot_as_multiturn is None else args.fewshot_as_multiturn,
        seeds=Seeds(**dict(zip(SEEDS, args.seed, strict=True))) if args.seed else Seeds(),
    )


def _items(args: argparse.Namespace) -> dict[str, list[int]]:
    try:
        return checked_items(args.samples or {})
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--samples: {error}.") from None


def _engine(args: argparse.Namespace) -> EngineSpec:
    from harness.engines.spec import EngineSpec

    return EngineSpec(
        backend=args.backend,
        dtype=args.dtype,
        device=args.device,
        batch_size=args.batch_size,
        max_length=args.max_length,
        trust_remote_code=args.trust_remote_code,
        allow_pickle=args.allow_pickle,
        model_args=pairs("--model_args", args.model_args),
        think_end=args.think_end,
    )

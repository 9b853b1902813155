"""The arguments of each function that are flags of its command, with their types. A test compares them with the parser.

Their defaults are the parser's, and so are their meanings: ``help(harness.evaluate)`` shows both. Flags that only make
sense on a terminal are in `arguments.TERMINAL`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, cast, get_type_hints

from harness.api.arguments import TERMINAL, actions

Place = str | os.PathLike[str]
Places = Place | Sequence[Place]
Names = str | Sequence[str]
Options = Mapping[str, Any] | Names
"""Options as a mapping, or as ``key=value`` words."""


class EvaluateFlags(TypedDict, total=False):
    """Flags of ``harness eval`` besides model, tasks and output path."""

    limit: float | None
    samples: Mapping[str, Sequence[int]] | Place | None
    include_path: Places
    data_dir: Place | None
    num_fewshot: int | None
    apply_chat_template: bool | str
    chat_template_args: Options
    fewshot_as_multiturn: bool | None
    system_instruction: str | None
    system_as_user: bool
    think_end: str | None
    gen_kwargs: Options
    seed: int | Sequence[int | None] | None
    metadata: Mapping[str, Any]
    backend: str
    batch_size: int | str
    dtype: str
    device: str
    max_length: int | None
    model_args: Options
    tokenizer: Place | None
    base: Place | None
    replicas: int | str | None
    on: str | None
    revision: str | None
    trust_remote_code: bool
    allow_pickle: bool
    unsafe_code: str | None
    confirm_run_unsafe_code: bool
    predict_only: bool
    allow_failures: int
    engine_timeout: float | None
    use_cache: Place | None
    no_cache: bool
    progress_path: Place | None
    verify: bool
    dry_run: bool
    wandb_args: Options | None
    wandb_config_args: Options | None
    trackio_args: Options | None
    hf_hub_log_args: Options | None
    log_samples: bool


class ReportFlags(TypedDict, total=False):
    """Flags that ``harness compare`` and ``harness leaderboard`` share."""

    tasks: Names
    all: bool
    force: bool
    skip_broken: bool
    overlap: Places
    output_path: Place | None
    charts: Place | None
    columns: Names | None


class LeaderboardFlags(ReportFlags, total=False):
    """Flags of ``harness leaderboard``."""

    against: str | None


class CompareFlags(ReportFlags, total=False):
    """Flags of ``harness compare``."""

    runs: Place | None
    baseline: str | None
    chosen: bool
    margin: float | None
    doses: Sequence[float] | str | None
    correction: str
    metric: str | None
    design: Place | None
    last_checkpoints: int | None


class RunFlags(TypedDict, total=False):
    """Flags of ``harness run`` besides the experiment and the output path."""

    overrides: Options
    only: str | None
    executor: str
    jobs: int
    executor_args: Options
    ray_address: str | None
    no_estimate: bool


Function = TypeVar("Function", bound=Callable[..., Any])


def mirrors(command: str, flags: type | None = None) -> Callable[[Function], Function]:
    """Give a function the signature that its command's parser implies, and the help of every flag.

    Type checkers read ``**flags: Unpack[EvaluateFlags]``; `inspect.signature`, `help` and notebooks show each flag with
    the parser's default.
    """

    def decorate(function: Function) -> Function:
        known = actions(command)
        own = inspect.signature(function)
        named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        types = get_type_hints(flags) if flags is not None else {}
        flag_parameters = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_default(known[name].default), annotation=kind
            )
            for name, kind in types.items()
        ]
        helps = [f"        {name}: {action.help}" for name, action in known.items() if name not in TERMINAL[command]]
        documented = cast("Any", function)
        documented.__signature__ = own.replace(parameters=[*named, *flag_parameters])
        documented.__doc__ = "\n".join(
            [str(function.__doc__).rstrip(), "", f"Flags of `harness {command}`:", *helps, ""]
        )
        return function

    return decorate


def _default(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value

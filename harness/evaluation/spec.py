"""The options of one `harness eval`, and those that task files need while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.engines.spec import EngineSpec
from harness.evaluation.requests import PromptSpec
from harness.paths import use_data_dir
from harness.sandbox.backends import use_backend


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """The options of one `harness eval`.

    Attributes:
        models: As typed; a folder of ``checkpoint-*`` stands for each checkpoint in it.
        tasks: Names, groups, globs, YAML files, folders of them, or ``all``.
        output: Folder for the records, or a ``.json`` file as in lm-eval; None writes no record.
        dry_run: Answer with a script instead of the model, and keep nothing.
        include_paths: Folders of further task YAML.
        data_dir: Folder of benchmark data; None uses `HARNESS_DATA`.
        metadata: Passed to lm-eval's task configs.
        prompt: Options of the prompts.
        engine: Options of the engine.
        revision: Of hub ids.
        tokenizer: Folder or hub id of the models' tokenizer; None uses their own.
        base: Folder or hub id of the base of the models, which are adapters; None is the one that their config names.
        allow_failures: Number of failed requests with which a record still counts as complete.
        engine_timeout_seconds: Time for one batch after which the engine is abandoned; None waits for ever.
        use_journal: False sends every request again and keeps no answer.
        journal: File with the stored answers; None is the default journal, which all runs of this user share.
        verify: Hash the weights again, even if their digest is remembered.
        unsafe_code: Run model-written programs without a sandbox.
        unsafe_tasks: Run lm-eval's tasks that have no sandbox for model-written programs; other tasks use theirs.
        predict_only: Record the answers without scores.
        replicas: How many copies of the engine share the requests; None opens one in this process.
        keep_samples: Hand the samples to the caller too, in `DoneRun.samples`; they take much memory.
        on: Where the replicas run: None is this machine, ``ray`` or ``ray:ADDRESS`` a Ray cluster.
        command: The command line, for the record.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    output: Path | None
    dry_run: bool = False
    include_paths: tuple[Path, ...] = ()
    data_dir: Path | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt: PromptSpec = field(default_factory=PromptSpec)
    engine: EngineSpec = field(default_factory=EngineSpec)
    revision: str | None = None
    tokenizer: str | None = None
    base: str | None = None
    allow_failures: int = 0
    engine_timeout_seconds: float | None = None
    use_journal: bool = True
    journal: Path | None = None
    verify: bool = False
    unsafe_code: bool = False
    unsafe_tasks: bool = False
    predict_only: bool = False
    replicas: int | Literal["auto"] | None = None
    keep_samples: bool = False
    on: str | None = None
    command: str = ""


@contextmanager
def options_in_force(spec: EvaluationSpec) -> Iterator[None]:
    """Apply the data folder and the sandbox's backend within a block, and restore both afterwards.

    lm-eval calls the loaders and filters of task files without arguments of ours, so that they look these two up.
    """
    with ExitStack() as stack:
        if spec.data_dir is not None:
            stack.enter_context(use_data_dir(spec.data_dir))
        if spec.unsafe_code:
            stack.enter_context(use_backend("unsafe"))
        yield

"""What one `harness eval` is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engines.spec import EngineSpec
from harness.evaluation.requests import PromptSpec


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """What `harness eval` was asked to do.

    Attributes:
        models: What the user typed; a folder of ``checkpoint-*`` stands for each of them.
        tasks: Names, groups, globs.
        output: Folder for the records; None writes none (a dry run).
        include_paths: Folders of further task YAML.
        data_dir: Benchmark data; None leaves `HARNESS_DATA`.
        metadata: Passed to lm-eval's task configs.
        prompt: What decides the prompts.
        engine: How the checkpoints are run.
        revision: Of hub ids.
        allow_failures: Failed requests that still make a complete record.
        engine_timeout_seconds: Time for one batch after which the engine is given up; None waits for ever.
        use_journal: False asks everything again and keeps nothing.
        verify: Hash weights afresh.
        unsafe_code: Run model-written programs without a sandbox.
        command: For the record.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    output: Path | None
    include_paths: tuple[Path, ...] = ()
    data_dir: Path | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt: PromptSpec = field(default_factory=PromptSpec)
    engine: EngineSpec = field(default_factory=EngineSpec)
    revision: str | None = None
    allow_failures: int = 0
    engine_timeout_seconds: float | None = None
    use_journal: bool = True
    verify: bool = False
    unsafe_code: bool = False
    command: str = ""

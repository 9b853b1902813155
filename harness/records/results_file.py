"""Read one ``results_<time>.json``: the model and the recorded numbers of each task.

A run of this harness also has a ``run_<time>.json`` with what lm-eval does not write. Both kinds of runs are read into
the same classes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import MALFORMED, RecordError, one_line
from harness.records.items import NO_ITEMS, FloatArray, ItemTable, damaged_file
from harness.records.older_layouts import SamplesFile, as_today, find_samples, time_of
from harness.records.run_folder import TIME, RunRecord, read_record

OTHER = "other"  # domain of a task without one
# How lm-eval aggregates these metrics unless a task says otherwise.
_AGGREGATIONS = dict.fromkeys(("acc", "acc_norm", "acc_mutual_info", "exact_match"), "mean")
RESULTS = re.compile(rf"(?!run_|samples_).+_({TIME})\.json")


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskRun:
    """One task of one run of one model.

    Attributes:
        task: Name.
        time: Start of the run, as in its file names; sorts by age.
        domain: Reasoning domain, or ``other``.
        chance: Expected value of guessing, 0 to 1.
        metric: Headline metric, as ``name,filter``.
        higher_is_better: For the headline metric.
        value: Headline value as recorded; None if no item could be scored.
        averaged: Whether the record says that the value is the mean over items; False if it does not say.
        metrics: All recorded metrics, by ``name,filter``.
        stderrs: Their recorded standard errors, or None.
        items_from: Name of the items, shared by variants of one benchmark; the task's name if it has none.
        cluster: Field of a document with its cluster label; empty for no clusters.
        items_requested: Items requested.
        failed: Requests without an answer.
        failures: Failed requests by reason.
        version: Version of the task.
        num_fewshot: Examples in the prompt.
        prompting: Chat template and system instruction, which also change the prompt.
        engine: The engine that answered.
        dtype: The dtype of the computation, and the quantization, such as ``bfloat16 4 bit``; empty if not recorded.
        max_length: Longest input in tokens, as recorded; empty if not recorded.
        truncated: Requests whose input was truncated to fit the model.
        results: The results file.
        samples: The samples file.
        rows: Rows per filter; None if not recorded.
        guessing: Compute `chance` from the number of choices when the items are read.
        items: Rows of the samples file; empty until they are read.
        item_numbers: Numbers of the requested items in the data set.
        think_end: Closing tag of the model's reasoning, as recorded; empty if it has none.
    """

    task: str
    time: str
    domain: str
    chance: float
    metric: str
    higher_is_better: bool
    value: float | None
    averaged: bool
    metrics: Mapping[str, float]
    stderrs: Mapping[str, float | None]
    items_from: str
    cluster: str
    items_requested: int
    failed: int
    failures: Mapping[str, int]
    version: str
    num_fewshot: int
    prompting: str
    engine: str
    dtype: str
    max_length: str
    truncated: int
    results: Path
    samples: Path
    rows: int | None
    guessing: bool
    items: ItemTable = NO_ITEMS
    item_numbers: Sequence[int] = ()
    think_end: str = ""

    @property
    def samples_file(self) -> SamplesFile:
        """The samples file, with what its rows may lack."""
        filters = dict.fromkeys(key.partition(",")[2] for key in self.metrics)
        return SamplesFile(path=self.samples, filters=tuple(filters) or ("none",), rows=self.rows)

    @property
    def headline_values(self) -> FloatArray:
        """Values of the headline metric, one per row of its filter; NaN for an item without a value."""
        metric, _, filter_name = self.metric.partition(",")
        rows = self.items.rows(filter_name)
        values = self.items.values.get(metric)
        return np.full(rows.size, math.nan) if values is None else values[rows]

    @property
    def is_mean(self) -> bool:
        """Whether the headline value is the mean of its items; a corpus score such as pooled BLEU is not."""
        answered = self.headline_values[np.isfinite(self.headline_values)]
        if self.value is None or not answered.size:
            return False
        # A record need not say how a metric is aggregated. So compare: items [1, 0, 1] with a headline of 0.667 are
        # averaged, with a headline of 0.41 they are not.
        return math.isclose(float(answered.mean()), self.value, rel_tol=1e-9, abs_tol=1e-12)


@dataclass(frozen=True, kw_only=True)
class RequestedItems:
    """The items of a task without a scored item.

    Attributes:
        domain: Reasoning domain, or ``other``.
        metric: Headline metric, as ``name,filter``.
        numbers: Numbers of the requested items in the data set.
    """

    domain: str
    metric: str
    numbers: Sequence[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelRecords:
    """A model and its runs.

    Attributes:
        name: Name in tables; unique among the models loaded together.
        recorded_name: Name in the record.
        source: Path or hub id of the checkpoint, as recorded.
        digest: Digest of its weights; empty if not recorded.
        identity: What distinguishes it from other models: name, weights, and what lm-eval loaded on top of them.
        folders: Folders of its results.
        tasks: Runs by task name.
        unscored: Number of failed requests of each task whose latest run has no scored item; 0 if only the answers were
            recorded.
        unscored_at: Times of those runs.
        unscored_items: Their items; those of other runs may stand here too.
        lineage: The checkpoint and its ancestors, itself first, as `harness eval` records them: name, location, digest,
            status, and the stage manifest or None. Empty if the checkpoint has no manifest.
    """

    name: str
    recorded_name: str
    source: str
    digest: str
    identity: tuple[str, ...]
    folders: tuple[Path, ...]
    tasks: Mapping[str, TaskRun]
    unscored: Mapping[str, int]
    unscored_at: Mapping[str, str] = field(default_factory=dict)
    unscored_items: Mapping[str, RequestedItems] = field(default_factory=dict)
    lineage: tuple[Mapping[str, Any], ...] = ()

    @property
    def failed(self) -> int:
        """Requests without an answer, over all tasks."""
        return sum(run.failed for run in self.tasks.values()) + sum(self.unscored.values())


@dataclass(frozen=True, kw_only=True)
class RunContents:
    """What one run wrote, apart from its samples.

    Attributes:
        time: Start of the run.
        results: The results file, with the keys of today's lm-eval.
        record: This project's record; None for a run of plain lm-eval.
    """

    time: str
    results: Mapping[str, Any]
    record: RunRecord | None


def read_results(file: Path) -> ModelRecords:
    """Read a results file, without items.

    Raises:
        RecordError: The file, or the ``run_<time>.json`` next to it, cannot be read, is truncated or damaged.
    """
    run = read_contents(file)
    try:
        return _ResultsFile(file, run).model()
    except MALFORMED as error:  # JSON that lm-eval does not write
        problem = f"a field is not what lm-eval writes there ({one_line(error, max_characters=100)})"
        raise damaged_file(file, problem) from None


def read_contents(file: Path) -> RunContents:
    """Read a results file and the ``run_<time>.json`` next to it.

    Raises:
        RecordError: One of them cannot be read, is truncated or damaged.
    """
    try:
        contents = json.loads(file.read_bytes())
    except OSError as error:
        raise RecordError(f"{file}: cannot be read ({error.strerror}); restore it, or give --skip_broken.") from None
    except MALFORMED as error:
        raise damaged_file(file, f"not JSON ({one_line(error, max_characters=100)})") from None
    match = RESULTS.fullmatch(file.name)
    needed = ("results", "configs", "config") if match else ("results", "config")
    if not isinstance(contents, dict) or not all(isinstance(contents.get(part), dict) for part in needed):
        raise damaged_file(file, "it lacks results, configs or config")
    if match:
        ours = file.with_name(f"run_{match.group(1)}.json")
        return RunContents(time=match.group(1), results=contents, record=read_record(ours) if ours.exists() else None)
    try:
        return RunContents(time=time_of(file, contents), results=as_today(contents), record=None)
    except MALFORMED as error:
        problem = f"a field is not what lm-eval writes there ({one_line(error, max_characters=100)})"
        raise damaged_file(file, problem) from None


class _ResultsFile:
    """The contents of a results file, and of its run record if there is one."""

    def __init__(self, file: Path, run: RunContents) -> None:
        self._file, self._time, self._contents, self._record = file, run.time, run.results, run.record
        self._arguments = model_arguments(run.results)

    def model(self) -> ModelRecords:
        results = self._contents["results"]
        names = [name for name in self._contents["configs"] if name in results and self._is_scored(results[name])]
        ours = self._record.tasks if self._record else {}
        name, source, digest = self._who()
        return ModelRecords(
            name=name,
            recorded_name=name,
            source=source,
            digest=digest,
            identity=(name, digest, *self._loaded_on_top()),
            folders=(self._file.parent,),
            tasks={task: self._task(task) for task in sorted(names)},
            unscored={task: record.failed for task, record in ours.items() if task not in names},
            unscored_at={task: self._time for task in ours if task not in names},
            unscored_items={
                task: RequestedItems(domain=one.domain or OTHER, metric=one.metric, numbers=self._item_numbers(task))
                for task, one in ours.items()
                if task not in names
            },
            lineage=tuple(self._record.model.get("lineage") or ()) if self._record else (),
        )

    def _is_scored(self, results: Mapping[str, Any]) -> bool:
        """Whether a task has a metric; answers that were recorded without scores have none."""
        return self._record is None or any(_is_metric(key) for key in results)

    def _who(self) -> tuple[str, str, str]:
        """Name, source and digest."""
        if self._record is not None:
            model = self._record.model
            return str(model["name"]), str(model.get("source", "")), str(model.get("digest", ""))
        source = str(self._arguments.get("pretrained", ""))
        name = str(self._contents.get("model_name") or source or self._file.parent.name)
        return name, source or name, str(self._contents["config"].get("model_sha") or "")

    def _loaded_on_top(self) -> list[str]:
        """Parts of the model that lm-eval's name and digest leave out, such as an adapter."""
        keys = ("peft", "delta", "revision", "subfolder", "gguf_file")
        arguments = [] if self._record else [key for key in keys if self._arguments.get(key) not in (None, "main", "")]
        return [f"{key}={self._arguments[key]}" for key in arguments]

    def _engine(self) -> tuple[str, str]:
        """The engine that answered, and its dtype with the quantization."""
        if self._record is not None:
            fingerprint, engine = self._record.fingerprint, self._record.engine or {}
            dtype = str(fingerprint.get("dtype") or engine.get("dtype") or "")
            return str(fingerprint.get("engine", "")), self._with_quantization(dtype)
        config = self._contents["config"]
        dtype = str(config.get("model_dtype") or "").removeprefix("torch.")
        return f"lm-eval:{config.get('model', '')}", self._with_quantization(dtype)

    def _with_quantization(self, dtype: str) -> str:
        """``bfloat16 4 bit`` for weights that were quantized while loading."""
        given = {key: str(value) for key, value in self._arguments.items() if str(value) not in ("None", "False", "")}
        bits = [words for key, words in (("load_in_4bit", "4 bit"), ("load_in_8bit", "8 bit")) if key in given]
        return " ".join(filter(None, [dtype, *bits, given.get("quantization", "")]))

    def _max_length(self) -> str:
        places = (self._record.fingerprint, self._record.engine or {}) if self._record else (self._arguments,)
        return str(next((place["max_length"] for place in places if place.get("max_length") is not None), ""))

    def _item_numbers(self, task: str) -> Sequence[int]:
        """Numbers of the requested items: those of --samples, or the first ones. Plain lm-eval records no failures."""
        if self._record is None or task not in self._record.tasks:
            return ()
        given = (self._record.prompt.get("samples") or {}).get(task)
        return range(self._record.tasks[task].items) if given is None else [int(number) for number in given]

    def _think_end(self) -> str:
        """Plain lm-eval removes the reasoning from the texts that it records, so for its runs there is none."""
        return str(self._record.model.get("think_end") or "") if self._record else ""

    def _task(self, name: str) -> TaskRun:
        config, results = self._contents["configs"][name], self._contents["results"][name]
        metadata = config.get("metadata") if isinstance(config.get("metadata"), dict) else {}
        ours = self._record.tasks.get(name) if self._record else None
        metrics = {key: value for key, value in results.items() if _is_metric(key) and _finite(value) is not None}
        metric = ours.metric if ours else _headline(list(metrics), metadata.get("metric"))
        rows = results.get("sample_len") or self._of("n-samples", name, {}).get("effective")
        engine, dtype = self._engine()
        return TaskRun(
            task=name,
            time=self._time,
            domain=str(metadata.get("domain") or OTHER),
            chance=_chance(ours.chance if ours else metadata.get("chance", 0.0)),
            metric=metric,
            higher_is_better=self._is_higher_better(name, metric.split(",")[0]),
            value=metrics.get(metric),
            averaged=ours.interval is not None if ours else _is_averaged(config, metric),
            metrics=metrics,
            stderrs={key: _finite(results.get(key.replace(",", "_stderr,", 1))) for key in metrics},
            items_from=str(metadata.get("items_from") or name),
            cluster=str(metadata.get("cluster") or ""),
            items_requested=ours.items if ours else int(rows or 0),
            item_numbers=self._item_numbers(name),
            failed=ours.failed if ours else 0,
            failures=dict(ours.failures) if ours else {},
            version=str(self._of("versions", name, None)),
            num_fewshot=int(self._of("n-shot", name, 0) or 0),
            prompting=self._prompting(),
            engine=engine,
            dtype=dtype,
            max_length=self._max_length(),
            think_end=self._think_end(),
            truncated=ours.cut if ours else 0,
            results=self._file,
            samples=find_samples(self._file, name, self._time, self._contents["config"].get("model_args")),
            rows=rows,
            guessing="chance" not in metadata and ours is None and config.get("output_type") == "multiple_choice",
        )

    def _is_higher_better(self, task: str, metric: str) -> bool:
        """As recorded; releases before 0.4.3 say it only in the task's configuration."""
        recorded = self._of("higher_is_better", task, None)
        if recorded is None:
            entries = self._contents["configs"][task].get("metric_list") or ()
            recorded = {one.get("metric"): one.get("higher_is_better") for one in entries if isinstance(one, dict)}
        return recorded.get(metric) is not False

    def _of(self, part: str, task: str, default: Any) -> Any:
        return self._contents.get(part, {}).get(task, default)

    def _prompting(self) -> str:
        parts = {
            "chat template": self._contents.get("chat_template_sha"),
            "system instruction": self._contents.get("system_instruction_sha"),
        }
        return ", ".join(f"{key} {str(value)[:8]}" for key, value in parts.items() if value) or "plain"


def _chance(value: Any) -> float:
    """Return the value expected from guessing. Raises: ValueError unless it is from 0 to below 1."""
    chance = float(value)
    if not 0.0 <= chance < 1.0:
        raise ValueError(f"chance is {value!r:.40}, must be at least 0 and below 1")
    return chance


def model_arguments(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of the model in a results file; older releases wrote them as text."""
    arguments = results["config"].get("model_args")
    return arguments if isinstance(arguments, dict) else _parsed(arguments)


def _parsed(text: object) -> dict[str, str]:
    """lm-eval's ``key=value,key=value`` as a dict."""
    pairs = (part.partition("=") for part in str(text or "").split(","))
    return {key.strip(): value for key, equals, value in pairs if equals}


def _is_metric(key: str) -> bool:
    return "," in key and "_stderr," not in key


def _headline(metrics: Sequence[str], name_in_metadata: object) -> str:
    named = [key for key in metrics if key.split(",")[0] == name_in_metadata]
    return next(iter(named or metrics), "")


def _is_averaged(config: Mapping[str, Any], metric: str) -> bool:
    """Return whether a metric is a mean over items, by the task's configuration or else by lm-eval's default."""
    name = metric.partition(",")[0]
    entries = [one for one in config.get("metric_list") or () if isinstance(one, dict) and one.get("metric") == name]
    return str(next((one["aggregation"] for one in entries if "aggregation" in one), _AGGREGATIONS.get(name))) == "mean"


def _finite(value: object) -> float | None:
    """The number, or None; lm-eval writes "N/A" for a missing number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

"""Unique names of models that are loaded together: a name that several have is followed by what differs between them.

    runs/a/sft and runs/b/sft                ->  a path is its last part, or all of it if that is not unique
    two seeds that were both saved as sft    ->  sft (3f2a91c0), sft (77b1e04d)             digest of the weights
    one model with no and with 5 examples    ->  sft (0-shot), sft (5-shot)
    one model in full precision and 4 bit    ->  sft (bfloat16), sft (bfloat16 4 bit)
    one model evaluated twice                ->  sft (2025-01-01), sft (2025-01-02)

Tables, pages, charts, the viewer and exports take their names from here, so that a run is called the same everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from harness.records.results_file import ModelRecords, TaskRun
from harness.records.run_folder import readable_time

Mark = Callable[[ModelRecords], str]


def with_distinct_names(models: Sequence[ModelRecords]) -> list[ModelRecords]:
    """Give each model a unique short name."""
    short = [_last_part(model.name) for model in models]
    counts = Counter(short)
    names = [name if counts[name] == 1 else model.name for name, model in zip(short, models, strict=True)]
    for name, count in Counter(names).items():
        if count > 1:
            places = [at for at, one in enumerate(names) if one == name]
            marks = _marks([models[at] for at in places])
            for at, mark in zip(places, marks, strict=True):
                names[at] = f"{name} ({mark})"
    return [replace(model, name=name) for model, name in zip(models, names, strict=True)]


def naming_notes(models: Sequence[ModelRecords]) -> list[str]:
    """Return a sentence for each name that several models have; none if all have names of their own."""
    bases = [model.name.rpartition(" (")[0] for model in models]
    marked = [
        base
        for base, model in zip(bases, models, strict=True)
        if base and base in (model.recorded_name, _last_part(model.recorded_name))
    ]
    return [
        f"{count} runs are named {name}; the brackets show how they differ."
        for name, count in Counter(marked).items()
        if count > 1
    ]


def _last_part(name: str) -> str:
    return PurePosixPath(name).name if name.startswith(("/", "./", "../", "~")) else name


def _marks(models: Sequence[ModelRecords]) -> list[str]:
    """Return what tells models of one name apart: their weights, then the fewest settings, else the date.

    A setting is named only if it tells models apart that those before it do not::

        weights   few-shot   engine       mark
        a         0          hf           0-shot             the weights are the same, and few-shot is enough,
        a         5          vllm         5-shot             so the engine is not named
    """
    known = [[_weights(model)] for model in models]
    known = [[] for _ in models] if _distinct(known) == 1 else known
    for marks in _SETTINGS:
        *coarser, finest = [[[*own, mark(one)] for own, one in zip(known, models, strict=True)] for mark in marks]
        if _distinct(finest) > _distinct(known):
            known = next((more for more in coarser if _distinct(more) == _distinct(finest)), finest)
    words = [", ".join(filter(None, own)) for own in known]
    counts = Counter(words)
    return [word if word and counts[word] == 1 else f"{word} #{at}".strip() for at, word in enumerate(words, start=1)]


def _distinct(marks: Sequence[Sequence[str]]) -> int:
    return len({tuple(own) for own in marks})


def _weights(model: ModelRecords) -> str:
    digest = model.digest.partition(":")[2] or model.digest
    return digest[:8]


def _few_shot(model: ModelRecords) -> str:
    examples = _values(model, lambda run: str(run.num_fewshot))
    return examples and f"{examples}-shot"


def _template(model: ModelRecords) -> str:
    return _values(model, lambda run: run.prompting).replace("plain", "no chat template")


def _precision(model: ModelRecords) -> str:
    return _values(model, lambda run: run.dtype)


def _loaded_with(model: ModelRecords) -> str:
    return ", ".join(model.identity[2:])


def _engine(model: ModelRecords) -> str:
    return _values(model, lambda run: run.engine)


def _date(model: ModelRecords) -> str:
    return _time(model)[:10]


def _minute(model: ModelRecords) -> str:
    return _time(model)[:16]


def _time(model: ModelRecords) -> str:
    """Return the start of the latest run, such as ``2025-01-31 09:30:00``."""
    latest = max([*(run.time for run in model.tasks.values()), *model.unscored_at.values()], default="")
    return readable_time(latest)


def _folder(model: ModelRecords) -> str:
    return str(model.folders[0]) if model.folders else ""


def _values(model: ModelRecords, value: Callable[[TaskRun], str]) -> str:
    """Return the values of all tasks, each once, without unknown ones."""
    return "/".join(sorted({known for run in model.tasks.values() if (known := value(run))}))


# From what matters most to a reader; of several marks of one setting, from coarse to fine.
_SETTINGS: tuple[tuple[Mark, ...], ...] = (
    (_few_shot,), (_template,), (_precision,), (_loaded_with,), (_engine,), (_date, _minute, _time), (_folder,),
)  # fmt: skip

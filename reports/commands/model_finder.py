"""Find the models that words of a command stand for: a run folder, or the name of a model, its folder or its stage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import RecordError, did_you_mean
from harness.reports.commands.families import are_seeds, arm_of, folders_like, members
from harness.reports.commands.output import split_names

if TYPE_CHECKING:
    from harness.records import ModelRecords, Records


class ModelFinder:
    """Finds models by run folder, or by name below ``--runs``."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._records: Records | None = None
        self.skipped: tuple[str, ...] = ()

    def models(self, place: str, *, several: bool) -> list[ModelRecords]:
        """Return the model in a folder or with a name.

        Args:
            place: The folder or name.
            several: Whether there may be several, the checkpoints of training runs.

        Raises:
            RecordError: There is no such model, or more than one.
        """
        matches = self._models_named(place) if self._args.runs is not None else []
        named = bool(matches)
        if not matches and Path(place).exists():
            matches = list(self._index([Path(place)]).models)
        if not matches:
            raise RecordError(self._why_none(place))
        if len(matches) > 1 and not several:
            names = ", ".join(model.name for model in matches)
            places = [model.name if named else str(model.folders[0]) for model in matches]
            arm = (
                f", or {arm_of(place, places)} for all of them as the seeds of one recipe" if are_seeds(matches) else ""
            )
            raise RecordError(f"{place}: holds {len(matches)} models; give one of {names}{arm}.")
        return matches

    def _why_none(self, place: str) -> str:
        runs, known = self._args.runs, self._known()
        family = members(place, known) or folders_like(Path(place))
        family = family or (folders_like(runs / place) if runs is not None else [])
        if family:
            return (
                f"{place}: is a family of {len(family)} runs, not one; give {arm_of(place, family)} to compare them as "
                "the seeds of one recipe."
            )
        if runs is None:
            return f"{place}: no such run folder; give one, or --runs DIR to look up a model or stage name."
        names = [model.name for model in self._records.models] if self._records else []
        return (
            f"{place}: neither a folder nor the name of a model or stage below {runs}; give one of {', '.join(names)}."
            f"{did_you_mean(place, names)}"
        )

    def _known(self) -> list[str]:
        """Return the names of the models below ``--runs`` and of their folders."""
        models = self._records.models if self._records else ()
        return [name for one in models for name in (one.name, *(folder.name for folder in one.folders))]

    def _models_named(self, name: str) -> list[ModelRecords]:
        """Return the models of this name below ``--runs``, otherwise those whose stage has it."""
        if self._records is None:
            self._records = self._index([self._args.runs])
        return models_named(name, self._records.models)

    def _index(self, paths: list[Path]) -> Records:
        from harness.records import index

        args = self._args
        records = index(paths, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
        self.skipped = tuple(dict.fromkeys((*self.skipped, *records.skipped)))
        return records


def models_named(name: str, models: Sequence[ModelRecords]) -> list[ModelRecords]:
    """Return the models of this name, or in a folder of this name; otherwise those whose stage has it."""
    matches = [
        model
        for model in models
        if name in (model.name, model.recorded_name, *(folder.name for folder in model.folders))
    ]
    return matches or [model for model in models if _is_stage(model, name)]


def _is_stage(model: ModelRecords, name: str) -> bool:
    manifest = model.lineage[0].get("manifest") if model.lineage else None
    return manifest is not None and manifest["name"] == name

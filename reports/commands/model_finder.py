"""Find the models that words of a command stand for: a run folder, or the name of a model, its folder or its stage."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import RecordError, did_you_mean
from harness.reports.commands.families import are_seeds, arm_of, folders_like, members
from harness.reports.commands.output import split_names

if TYPE_CHECKING:
    from harness.records import ModelRecords, Records


_LISTED = 8  # models in a message; of more, the first ones


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
            raise RecordError(self._which(place, matches, named=named))
        return matches

    def _which(self, place: str, matches: Sequence[ModelRecords], *, named: bool) -> str:
        """Return what stands for one of several models, for all of them as one arm, and for a comparison of them all.

        A folder stands for its model. If a folder holds several models, or a model has runs in several folders, only
        names below ``--runs`` stand for them.
        """
        folders = [str(model.folders[0]) for model in matches]
        one_each = all(len(model.folders) == 1 for model in matches) and len(set(folders)) == len(folders)
        by_name = named or not one_each
        words = [shlex.quote(one) for one in ([model.name for model in matches] if by_name else folders)]
        flags = f"--runs {shlex.quote(place)} {'--all ' if self._args.all else ''}" if by_name and not named else ""
        more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
        listed = f"{', '.join(words[:_LISTED])}{more}{f' with {flags.strip()}' if flags else ''}"
        seeds = f", or {arm_of(place, words)} for all of them as the seeds of one recipe" if are_seeds(matches) else ""
        message = f"{place}: holds {len(matches)} models; give one of {listed}{seeds}."
        if named or len(self._args.models) > 1:
            return message
        all_of_them = f"harness compare {flags}{' '.join(words)}"
        return f"{message} All of them: {all_of_them if not more else f'harness leaderboard {shlex.quote(place)}'}"

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
    """Return the model of this name, or those in a folder of this name; otherwise those whose stage has it."""
    if exact := [model for model in models if model.name == name]:
        return exact
    matches = [
        model
        for model in models
        if name in (model.name, model.recorded_name, *(folder.name for folder in model.folders))
    ]
    return matches or [model for model in models if _is_stage(model, name)]


def _is_stage(model: ModelRecords, name: str) -> bool:
    manifest = model.lineage[0].get("manifest") if model.lineage else None
    return manifest is not None and manifest["name"] == name

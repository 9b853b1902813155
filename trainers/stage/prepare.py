"""Check a stage file, open its data and configure its model: everything that can fail before training begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.lineage import manifest_of, verify
from harness.checkpoints.stage_manifest import StageManifest
from harness.errors import SpecError
from harness.trainers.data.epochs import budget_of_epochs
from harness.trainers.data.examples import Encode
from harness.trainers.data.mixture import Mixture
from harness.trainers.data.opening import find_files, open_source
from harness.trainers.data.schedules import Schedule
from harness.trainers.data.sources import Source
from harness.trainers.stage import adapters, models
from harness.trainers.stage.config import configured
from harness.trainers.stage.contamination import check_eval_data
from harness.trainers.stage.folder import recorded_commits, spec_file, trained_tokenizer
from harness.trainers.stage.held_out import open_held_out
from harness.trainers.stage.job import Method, StageJob
from harness.trainers.stage.positions import within_positions
from harness.trainers.stage.spec import StageSpec, parse
from harness.trainers.stage.tokenizers import load_tokenizer


def prepare(
    method: Method, spec_fields: Mapping[str, Any], out_dir: Path, *, planned_parent: StageJob | None = None
) -> StageJob:
    """Check everything that can be checked before training, and open the data. Writes nothing.

    Args:
        method: The stage's trainer.
        spec_fields: The stage file's contents.
        out_dir: Folder of the checkpoint.
        planned_parent: The stage that makes the parent, where the parent does not exist yet.

    Raises:
        InputError: any part of the user's input is wrong.
    """
    spec = parse(spec_fields, method.stage)
    if spec.evaluate is not None and method.held_out is None:
        raise SpecError(
            f"evaluate: {spec.stage} has no held-out loss; remove it, and score checkpoints with harness eval."
        )
    files = {name: find_files(name, source) for name, source in spec.data.sources.items() if source.path is not None}
    eval_data = check_eval_data(spec, files)
    # The number of steps is not known yet; the encoder and the packed length do not depend on it.
    config = configured(method, spec, out_dir, steps=1)
    adapters.quantization(spec.adapter)
    parent = models.find_parent(spec) if planned_parent is None else None
    parent_manifest = _verified_manifest(parent)
    if spec.adapter is not None and planned_parent is None:
        adapters.base_of(spec, parent, out_dir)
    sources = _open_sources(method, spec, out_dir)
    saved_tokenizer = trained_tokenizer(out_dir) if spec_file(out_dir).is_file() else None
    if planned_parent is None:
        tokenizer = load_tokenizer(spec, parent, sources, saved_tokenizer)
        model_config = models.model_config(spec, parent, tokenizer)
    else:
        tokenizer = load_tokenizer(spec, None, sources, None, planned_parent.tokenizer)
        model_config = models.checked_config(spec, planned_parent.model_config, tokenizer)
    encode = within_positions(method.encode(tokenizer, config), config, model_config)
    held_out = open_held_out(spec, tokenizer, encode, method.packed_length(config), recorded_commits(out_dir))
    left_out = frozenset[str]().union(*(one.digests for one in held_out))
    budget_tokens, schedule = _budget(spec, sources, encode, left_out)
    mixture = Mixture(
        schedule=schedule,
        sources=sources,
        encode=encode,
        budget_tokens=budget_tokens,
        packed_length=method.packed_length(config),
        repeat=spec.data.when_exhausted == "repeat",
        skip_bad=spec.data.when_bad == "skip",
        held_out=left_out,
    )
    return StageJob(
        method=method, spec=spec, out_dir=out_dir, parent=parent, tokenizer=tokenizer, model_config=model_config,
        config=config, mixture=mixture, eval_data=eval_data, held_out=held_out,
        parent_digest=checkpoint_digest(parent) if parent is not None else None,
        inherited_eval_data=(
            (*parent_manifest.eval_data, *parent_manifest.inherited_eval_data) if parent_manifest is not None else ()
        ),
    )  # fmt: skip


def _budget(
    spec: StageSpec, sources: Sequence[Source], encode: Encode, held_out: frozenset[str]
) -> tuple[int, Schedule]:
    """Return the tokens to stream and the shares of the sources; a budget in epochs is counted."""
    data = spec.data
    if data.num_train_epochs is None:
        assert data.budget_tokens is not None
        return data.budget_tokens, spec.schedule
    return budget_of_epochs(sources, data.num_train_epochs, encode, skip_bad=data.when_bad == "skip", held_out=held_out)


def _verified_manifest(parent: Checkpoint | None) -> StageManifest | None:
    """Verify the parent's weights and return its manifest; None without a parent or without a manifest."""
    if parent is None:
        return None
    verify(parent)
    return manifest_of(parent)


def _open_sources(method: Method, spec: StageSpec, out_dir: Path) -> tuple[Source, ...]:
    commits = recorded_commits(out_dir)
    return tuple(
        open_source(
            name,
            source,
            stage=method.stage,
            rationale=spec.data.rationale,
            seed=spec.seed if spec.data.shuffle else None,
            allow_test_split=spec.allow_eval_data,
            commit=commits.get(name),
            skip_bad=spec.data.when_bad == "skip",
        )
        for name, source in spec.data.sources.items()
    )

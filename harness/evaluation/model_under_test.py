"""Who answers: a checkpoint, a service or a script, with the name by which the journal knows its answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.checkpoints import lineage
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import resolve
from harness.engines.base import Engine, Request
from harness.engines.registry import engine_identity, open_engine, resolve_backend
from harness.engines.spec import ENGINE_VERSIONS, LM_EVAL_PREFIX, SCRIPTED, EngineSpec
from harness.errors import CheckpointError, InputError
from harness.evaluation.chat_template import ServiceMessages, Template, TokenizerChatTemplate
from harness.evaluation.spec import EvaluationSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelUnderTest:
    """A model that can be asked.

    Attributes:
        name: In tables and folders.
        about: For the record: source, kind, digest, revision.
        answerer: What the journal knows its answers by.
        open: Opens the engine; given what an oracle would say, which only scripts use.
        tokenizer: For the chat template; None where there is no tokenizer.
        takes_chats: Whether it is a service that takes messages and no plain prompt.
    """

    name: str
    about: dict[str, Any]
    answerer: dict[str, Any]
    open: Callable[[Mapping[Request, bool | str]], Engine]
    tokenizer: Path | None = None
    takes_chats: bool = False


def find_model(source: str, spec: EvaluationSpec) -> ModelUnderTest:
    """Return the model that a name stands for: a checkpoint, a service or a script.

    Raises:
        InputError: there is none, or a flag does not fit it.
    """
    backend = resolve_backend(spec.engine.backend, spec.engine.device)
    engine = replace(spec.engine, backend=backend)
    if backend == SCRIPTED:
        return _script(source, engine)
    if backend.startswith(LM_EVAL_PREFIX):
        from harness.engines.lm_eval import open_lm_eval, takes_chats, takes_checkpoint

        if not takes_checkpoint(backend):
            if spec.output is None:  # a dry run asks nobody
                return _script("uniform", replace(engine, model_args={}))
            _refuse_weight_options(spec)
            return ModelUnderTest(
                name=source,
                about={"source": source, "kind": "service", "digest": f"name:{source}"},
                answerer=_service_identity(source, engine, spec.output),
                open=lambda gold: open_lm_eval(source, engine),  # noqa: ARG005
                takes_chats=takes_chats(backend),
            )
    checkpoint = resolve(source, revision=spec.revision, allow_pickle=engine.allow_pickle, verify=spec.verify)
    if spec.revision is not None and checkpoint.revision is None:
        raise InputError(f"--revision {spec.revision}: {source} is a local path; leave it out, or give a hub id.")
    if spec.output is None:  # a dry run looks at the checkpoint and asks a script
        return _script("uniform", replace(engine, model_args={}))
    if spec.engine.backend == "auto" and backend == "vllm" and not _vllm_takes(checkpoint):
        engine = replace(engine, backend="hf")
    digest = checkpoint_digest(checkpoint, verify=spec.verify)
    return ModelUnderTest(
        name=checkpoint.name,
        about=_about(checkpoint, digest),
        answerer={"weights": digest, **engine_identity(checkpoint, engine)},
        open=lambda gold: _open_as_digested(checkpoint, engine, digest),  # noqa: ARG005
        tokenizer=checkpoint.tokenizer,
    )


def _vllm_takes(checkpoint: Checkpoint) -> bool:
    """Whether vLLM can score with the checkpoint's adapter, if it has one; says so where not."""
    from harness.engines.vllm.options import adapter_arguments

    try:
        if checkpoint.adapter is not None:
            adapter_arguments(checkpoint.adapter)
    except CheckpointError as error:
        log.warning("the hf backend is taken: %s", error)
        return False
    return True


def _service_identity(name: str, engine: EngineSpec, output: Path) -> dict[str, Any]:
    """What the journal knows a service's answers by.

    What stands behind a name may change without a word, so only a run into the same folder goes on from them.
    """
    return {"name": name, "engine": engine.backend, "model_args": dict(engine.model_args), "for": str(output.resolve())}


def _refuse_weight_options(spec: EvaluationSpec) -> None:
    """A service has its weights elsewhere, so that options about them would be taken and do nothing."""
    engine = spec.engine
    given = {
        "--revision": spec.revision,
        "--max_length": engine.max_length,
        "--dtype": None if engine.dtype == "auto" else engine.dtype,
        "--device": None if engine.device == "auto" else engine.device,
    }
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} {value}: {engine.backend} is a service; leave it out, or see --model_args.")


def _open_as_digested(checkpoint: Checkpoint, engine: EngineSpec, digest: str) -> Engine:
    """Open the engine, and make sure that what it loaded is still what the journal will know its answers by."""
    scorer = open_engine(checkpoint, engine)
    if checkpoint_digest(checkpoint) != digest:
        scorer.close()
        raise CheckpointError(
            f"--model {checkpoint.source}: its files changed since this run began; run again when nothing writes there."
        )
    return scorer


def _script(name: str, engine: EngineSpec) -> ModelUnderTest:
    from harness.engines.scripted import Faults, ScriptedEngine

    faults = Faults.from_arguments(engine.model_args)
    ScriptedEngine(name, {})  # a wrong name is told before any work
    identity = {"script": name, "engine": SCRIPTED, "engine_version": ENGINE_VERSIONS[SCRIPTED]}
    return ModelUnderTest(
        name=name,
        about={"source": name, "kind": SCRIPTED, "digest": f"script:{name}"},
        answerer=identity,
        open=lambda gold: ScriptedEngine(name, gold, faults),
    )


def _about(checkpoint: Checkpoint, digest: str) -> dict[str, Any]:
    about: dict[str, Any] = {"source": checkpoint.source, "kind": checkpoint.kind, "digest": digest}
    about["revision"] = checkpoint.revision
    if checkpoint.adapter is not None:
        about["base"] = str(checkpoint.weights)
    if lineage.manifest_of(checkpoint) is not None:
        lineage.verify(checkpoint)
        about["lineage"] = [_link(link) for link in lineage.chain(checkpoint)]
    return about


def _link(link: lineage.Link) -> dict[str, Any]:
    manifest = link.manifest.model_dump(mode="json") if link.manifest else None
    return {
        "name": link.name,
        "location": link.location,
        "digest": link.digest,
        "status": link.status,
        "manifest": manifest,
    }


def chat_template(candidate: ModelUnderTest, spec: EvaluationSpec) -> Template | None:
    """Return the template that the candidate's prompts are rendered with; None for plain prompts.

    Raises:
        InputError: it has no template, or takes nothing but chats.
    """
    wanted = spec.prompt.apply_chat_template
    if candidate.takes_chats:
        if not wanted:
            raise InputError(f"--backend {spec.engine.backend}: takes chats only; add --apply_chat_template.")
        return ServiceMessages()
    if not wanted:
        return None
    if candidate.tokenizer is None:
        raise InputError(
            f"--apply_chat_template: {candidate.name} has no tokenizer here; leave the flag out for this backend."
        )
    name = wanted if isinstance(wanted, str) else None
    return TokenizerChatTemplate(candidate.tokenizer, name=name, trust_remote_code=spec.engine.trust_remote_code)

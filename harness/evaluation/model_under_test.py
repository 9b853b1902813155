"""The model under test: a checkpoint, a service or a script, and the fingerprint that the journal knows it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.checkpoints import lineage
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest, model_digest, tokenizer_digest
from harness.checkpoints.resolver import resolve, resolve_on
from harness.engines.base import Engine, Request
from harness.engines.quantizing import refuse_for_gguf
from harness.engines.registry import engine_identity, find_engine, open_engine, resolve_backend
from harness.engines.replicated.recipe import Recipe
from harness.engines.served import SETTINGS
from harness.engines.spec import EngineSpec
from harness.engines.thoughts import ThinkTags, find_tags
from harness.errors import CheckpointError, InputError
from harness.evaluation.chat_template import ServiceMessages, Template, TokenizerChatTemplate
from harness.evaluation.spec import EvaluationSpec
from harness.redaction import without_secret_values

NO_THOUGHTS = "none"  # value of --think_end


@dataclass(frozen=True, kw_only=True)
class ModelUnderTest:
    """A model, not yet opened.

    Attributes:
        name: In tables and folders.
        about: For the record: source, kind, digest, revision, lineage.
        fingerprint: Everything its answers depend on, such as ``{"weights": "sha256:...", "engine": "hf", ...}``; for
            the journal, a change of any value makes a different model.
        open: Opens the engine. Its arguments: the right answers, which only scripted models use, and whether any
            request generates text.
        recipe: How a replica opens it, still without `generates` and the right answers; None if it is never opened.
        tokenizer: Folder of the tokenizer; None if it has none.
        takes_chats: Whether it is a service that takes chat messages instead of plain prompts.
        template: The chat template of its prompts; None for plain prompts. See `with_template`.
    """

    name: str
    about: dict[str, Any]
    fingerprint: dict[str, Any]
    open: Callable[[Mapping[Request, bool | str], bool], Engine]
    recipe: Recipe | None = None
    tokenizer: Path | None = None
    takes_chats: bool = False
    template: Template | None = None

    @property
    def think_tags(self) -> ThinkTags | None:
        """The tags around its thoughts; None if it has none."""
        end = self.about.get("think_end")
        return ThinkTags.of(end) if isinstance(end, str) and end else None


def find_model(source: str, spec: EvaluationSpec) -> ModelUnderTest:
    """Return the model that a name stands for: a checkpoint, a service or a script. No weights are read.

    Raises:
        InputError: there is no such model, or a flag does not fit it.
    """
    backend = resolve_backend(spec.engine.backend, spec.engine.device)
    engine = replace(spec.engine, backend=backend)
    kind = find_engine(backend)
    if kind.open_script is not None:
        return _script(source, engine)
    if kind.open_service is not None:
        return _stand_in(engine) if spec.dry_run else _service(source, spec, engine)
    refuse_for_gguf(engine.model_args, (source, spec.base))
    checkpoint = _checkpoint(source, spec)
    if spec.revision is not None and checkpoint.revision is None:
        raise InputError(f"--revision {spec.revision}: {source} is a local path; leave it out, or give a hub id.")
    if spec.dry_run:
        return _stand_in(engine)
    # `auto` may choose another engine now that the checkpoint is known: vLLM cannot score with every adapter.
    engine = replace(engine, backend=resolve_backend(spec.engine.backend, engine.device, checkpoint))
    engine = replace(engine, think_end=_think_end(spec, engine, checkpoint))
    digests = checkpoint_digest(checkpoint, verify=spec.verify), tokenizer_digest(checkpoint, verify=spec.verify)
    return ModelUnderTest(
        name=checkpoint.name,
        about=_about(checkpoint, *digests) | _thinking(engine),
        fingerprint=_fingerprint(*digests) | engine_identity(checkpoint, engine),
        open=lambda gold, generates: _open_as_digested(  # noqa: ARG005
            checkpoint, replace(engine, generates=generates), digests
        ),
        recipe=Recipe(
            model=_from_anywhere(source),
            spec=engine,
            revision=spec.revision,
            tokenizer=None if spec.tokenizer is None else _from_anywhere(spec.tokenizer),
            base=None if spec.base is None else _from_anywhere(spec.base),
            digests=digests,
        ),
        tokenizer=checkpoint.tokenizer,
    )


def _checkpoint(source: str, spec: EvaluationSpec) -> Checkpoint:
    pickles = spec.engine.allow_pickle
    if spec.base is None:
        return resolve(
            source, revision=spec.revision, allow_pickle=pickles, verify=spec.verify, tokenizer=spec.tokenizer
        )
    return resolve_on(spec.base, source, revision=spec.revision, allow_pickle=pickles, tokenizer=spec.tokenizer)


def _from_anywhere(source: str) -> str:
    """Return a path as an absolute one, for processes with another working folder; a hub id unchanged."""
    path = Path(source).expanduser()
    return str(path.absolute()) if path.exists() else source


def _think_end(spec: EvaluationSpec, engine: EngineSpec, checkpoint: Checkpoint) -> str | None:
    """The closing tag of thoughts: the user's, else with a chat template that of the tokenizer or its template.

    lm-eval's own engines end a text at a stop string even within a thought, so for them it is the user's only.
    """
    given = engine.think_end
    if given is not None:
        return None if given == NO_THOUGHTS else given
    if not spec.prompt.apply_chat_template or engine.backend.startswith("lm-eval:"):
        return None
    found = find_tags(checkpoint.tokenizer)
    return None if found is None else found.end


def _thinking(engine: EngineSpec) -> dict[str, Any]:
    return {} if engine.think_end in (None, NO_THOUGHTS) else {"think_end": engine.think_end}


def _service(name: str, spec: EvaluationSpec, engine: EngineSpec) -> ModelUnderTest:
    """A model behind a service, known by its name.

    The model behind a name can change without notice, so the journal's answers are used only for the same output
    folder: it is part of the fingerprint.
    """
    _refuse_weight_options(spec)
    fingerprint = {
        "name": name,
        "engine": engine.backend,
        "model_args": {
            name: value for name, value in without_secret_values(engine.model_args).items() if name not in SETTINGS
        },
        "for": str(spec.output.resolve()) if spec.output else "",
    }
    return ModelUnderTest(
        name=name,
        about={"source": name, "kind": "service", "digest": f"name:{name}"} | _thinking(engine),
        fingerprint=fingerprint,
        open=lambda gold, generates: open_engine(name, engine),  # noqa: ARG005
        recipe=Recipe(model=name, spec=engine),
        takes_chats=find_engine(engine.backend).takes_chats,
    )


def _refuse_weight_options(spec: EvaluationSpec) -> None:
    """Refuse options about weights: a service's weights are elsewhere, so these options would have no effect."""
    engine = spec.engine
    options = {
        "--revision": spec.revision,
        "--tokenizer": spec.tokenizer,
        "--base": spec.base,
        "--max_length": engine.max_length,
        "--dtype": None if engine.dtype == "auto" else engine.dtype,
        "--device": None if engine.device == "auto" else engine.device,
    }
    for option, value in options.items():
        if value is not None:
            raise InputError(f"{option} {value}: {engine.backend} is a service; leave it out, or see --model_args.")


def _fingerprint(own: str, tokenizer: str | None) -> dict[str, Any]:
    return {"weights": own} if tokenizer is None else {"weights": own, "tokenizer": tokenizer}


def _open_as_digested(checkpoint: Checkpoint, spec: EngineSpec, digests: tuple[str, str | None]) -> Engine:
    """Open the engine, then check that the files it loaded still have the digests that the journal is given."""
    engine = open_engine(checkpoint, spec)
    if (checkpoint_digest(checkpoint), tokenizer_digest(checkpoint)) != digests:
        engine.close()
        raise CheckpointError(
            f"--model {checkpoint.source}: its files changed since this run began; run again once nothing writes there."
        )
    return engine


def _script(name: str, engine: EngineSpec) -> ModelUnderTest:
    open_engine(name, engine)  # a wrong name is an error before any work
    version = find_engine(engine.backend).version
    return ModelUnderTest(
        name=name,
        about={"source": name, "kind": engine.backend, "digest": f"script:{name}"} | _thinking(engine),
        fingerprint={"script": name, "engine": engine.backend, "engine_version": version},
        open=lambda gold, generates: open_engine(name, engine, gold),  # noqa: ARG005
        recipe=Recipe(model=name, spec=engine),
    )


def _stand_in(engine: EngineSpec) -> ModelUnderTest:
    """The script that answers a dry run in place of any engine."""
    return _script("uniform", replace(engine, backend="scripted", model_args={}))


def _about(checkpoint: Checkpoint, own: str, tokenizer: str | None) -> dict[str, Any]:
    digest = model_digest(own, tokenizer)
    about: dict[str, Any] = {"source": checkpoint.source, "kind": checkpoint.kind, "digest": digest}
    about["revision"] = checkpoint.revision
    if checkpoint.adapter is not None:
        about["base"] = str(checkpoint.weights)
    if tokenizer is not None:
        about |= {"tokenizer": str(checkpoint.tokenizer), "tokenizer_digest": tokenizer}
    links = lineage.chain(checkpoint, digest=own)
    if links[0].manifest is not None:
        lineage.check_unchanged(links)
        about["lineage"] = [_link(replace(links[0], digest=digest)), *map(_link, links[1:])]
    return about


def _link(link: lineage.Link) -> dict[str, Any]:
    manifest = link.manifest.to_json() if link.manifest else None
    return {
        "name": link.name,
        "location": link.location,
        "digest": link.digest,
        "status": link.status,
        "manifest": manifest,
    }


def with_template(model: ModelUnderTest, spec: EvaluationSpec) -> ModelUnderTest:
    """Return the model with the chat template that the options choose.

    Raises:
        InputError: it has no such template, or is a service that takes chats only.
    """
    name = spec.prompt.apply_chat_template
    if model.takes_chats:
        if not name:
            raise InputError(f"--backend {spec.engine.backend}: takes chats only; add --apply_chat_template.")
        if spec.prompt.chat_template_args:
            raise InputError(
                f"--chat_template_args: {spec.engine.backend} is a service and makes the prompt itself; leave it out."
            )
        return replace(model, template=ServiceMessages(system_as_user=spec.prompt.system_as_user))
    if not name:
        return model
    if model.tokenizer is None:
        raise InputError(
            f"--apply_chat_template: {model.name} has no tokenizer here; leave the flag out for this backend."
        )
    trusted = spec.engine.trust_remote_code
    template = TokenizerChatTemplate(
        model.tokenizer,
        name=name if isinstance(name, str) else None,
        trust_remote_code=trusted,
        system_as_user=spec.prompt.system_as_user,
        variables=spec.prompt.chat_template_args,
    )
    return replace(model, template=template)

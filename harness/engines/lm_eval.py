"""Any lm-eval model as an engine: ``--backend lm-eval:NAME``.

lm-eval's models answer a whole list or raise. Here they get chunks of similar length, so that a kill costs one chunk.
If a chunk raises, its requests are repeated one by one, so that only those that cause the error fail.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from harness.engines.base import Batch, Engine, Failure, Request, row_seed
from harness.engines.instances import as_answer, as_instance
from harness.engines.kind import EngineKind
from harness.engines.served import ServedEngine, lm_eval_arguments, service_of
from harness.engines.spec import EngineSpec
from harness.errors import EngineError, InputError, did_you_mean

if TYPE_CHECKING:
    from lm_eval.api.model import LM

    from harness.checkpoints.checkpoint import Checkpoint

LM_EVAL_PREFIX = "lm-eval:"
CHUNK = 128
# Arguments that would load other weights than those whose digest is the journal's key.
DECIDED_BY_MODEL = frozenset(
    {"pretrained", "tokenizer", "peft", "lora_local_path", "delta", "subfolder", "gguf_file", "revision"}
)


def lm_eval_kind(name: str) -> EngineKind:
    """The kind that ``--backend lm-eval:NAME`` stands for: it opens checkpoints or, for a service, a model's name.

    Raises:
        InputError: lm-eval has no such backend, or its library is not installed.
    """
    backend = LM_EVAL_PREFIX + name
    identity = {"lm_eval": version("lm_eval")}
    if takes_checkpoint(backend):
        return EngineKind(open_checkpoint=open_lm_eval, identity=identity)
    return EngineKind(open_service=open_lm_eval, takes_chats=takes_chats(backend), identity=identity)


def takes_checkpoint(backend: str) -> bool:
    """Whether an ``lm-eval:NAME`` backend loads local weights; others (services, dummies) take a model's name.

    Raises:
        InputError: lm-eval has no such backend, or its library is not installed.
    """
    model_class = _model_class(backend)
    return "pretrained" in _parameters(model_class) and not _is_service(model_class)


def takes_chats(backend: str) -> bool:
    """Whether an ``lm-eval:NAME`` backend is a service that takes messages, not plain prompts."""
    return "chat" in backend.removeprefix(LM_EVAL_PREFIX) and _is_service(_model_class(backend))


def open_lm_eval(model: Checkpoint | str, spec: EngineSpec) -> Engine:
    """Open an lm-eval model on a checkpoint or, for a service, on a model's name.

    Raises:
        InputError: lm-eval has no such backend, or it refuses the arguments.
        EngineError: the model cannot be opened.
    """
    model_class = _model_class(spec.backend)
    decided = sorted(DECIDED_BY_MODEL & spec.model_args.keys()) if not isinstance(model, str) else []
    if decided:
        raise InputError(f"--model_args {decided[0]}: is set by --model; leave it out.")
    service = service_of(spec.model_args) if _is_service(model_class) else None
    own = spec.model_args if service is None else lm_eval_arguments(spec.model_args)
    arguments = {**_model_arguments(model_class, model, spec), **own}
    try:
        lm = model_class.create_from_arg_obj(arguments, {"batch_size": _batch_size(spec), "device": _device(spec)})
    except (TypeError, ValueError, ImportError, AssertionError) as error:
        raise InputError(f"--backend {spec.backend}: lm-eval refuses it ({error}); see --model_args.") from error
    except (OSError, RuntimeError) as error:
        raise EngineError(f"--backend {spec.backend}: cannot be opened ({error}).") from error
    if service is not None:
        return ServedEngine(lm, spec.backend, service, as_chat=takes_chats(spec.backend))
    without_bar(lm)
    return LmEvalEngine(lm, spec)


def without_bar(lm: LM) -> None:
    """Let lm-eval's vLLM model show no progress bar.

    vLLM divides by the seconds that its bar has taken. They are 0 where ``TQDM_DISABLE`` turns the bar off. This is a
    run-time patch of one object of vLLM; models of other libraries stay as they are. With ``data_parallel_size`` above
    1, lm-eval generates in Ray workers, which this does not reach.
    """
    model: Any = getattr(lm, "model", None)
    if all(cls.__module__.partition(".")[0] != "vllm" for cls in type(model).__mro__):
        return
    generate = model.generate

    def without_bar(*words: Any, **named: Any) -> Any:
        return generate(*words, **(named | {"use_tqdm": False}))

    model.generate = without_bar


def _is_service(model_class: type[LM]) -> bool:
    from lm_eval.models.api_models import TemplateAPI

    return issubclass(model_class, TemplateAPI)


def _model_class(backend: str) -> type[LM]:
    from lm_eval.api.registry import get_model
    from lm_eval.models import MODEL_MAPPING

    name = backend.removeprefix(LM_EVAL_PREFIX)
    if name not in MODEL_MAPPING:
        raise InputError(f"--backend {backend}: lm-eval has no backend {name!r}.{did_you_mean(name, MODEL_MAPPING)}")
    try:
        model_class: type[LM] = get_model(name)
    except ImportError as error:
        raise InputError(f"--backend {backend}: needs a library that is missing ({error}); install it.") from error
    return model_class


def _parameters(model_class: type[LM]) -> set[str]:
    """Names of the parameters of the constructor and of those that it passes ``**kwargs`` to."""
    return {
        name
        for cls in model_class.__mro__
        for name in inspect.signature(vars(cls).get("__init__", object.__init__)).parameters
    }


def _model_arguments(model_class: type[LM], model: Checkpoint | str, spec: EngineSpec) -> dict[str, Any]:
    accepted = _parameters(model_class)
    if isinstance(model, str):
        return {"model": model} if "model" in accepted else {}
    arguments: dict[str, Any] = {"pretrained": str(model.weights), "tokenizer": str(model.tokenizer)}
    if model.adapter is not None:
        if not accepted & {"peft", "lora_local_path"}:
            raise InputError(f"--backend {spec.backend}: takes no adapter; merge {model.name} into its base first.")
        arguments |= {"peft": str(model.adapter), "lora_local_path": str(model.adapter)}
    arguments |= {"dtype": spec.dtype, "max_length": spec.max_length, "trust_remote_code": spec.trust_remote_code}
    return {name: value for name, value in arguments.items() if name in accepted and value is not None}


def _batch_size(spec: EngineSpec) -> int | str:
    """The batch size for lm-eval, whose ``auto`` measures memory for minutes; on a CPU a small fixed one is as fast."""
    return 8 if spec.batch_size == "auto" and _device(spec) == "cpu" else spec.batch_size


def _device(spec: EngineSpec) -> str:
    if spec.device != "auto":
        return spec.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class LmEvalEngine:
    """An lm-eval model as an `Engine`."""

    def __init__(self, lm: LM, spec: EngineSpec) -> None:
        self._lm = lm
        self._spec = spec
        self._chats = takes_chats(spec.backend)
        # lm-eval's progress bars would overwrite that of the command; not every model can turn them off.
        parameters = inspect.signature(lm.loglikelihood).parameters
        self._quietly = {"disable_tqdm": True} if "disable_tqdm" in parameters else {}

    @property
    def description(self) -> dict[str, Any]:
        """The backend, its class and the dtype."""
        return {"backend": self._spec.backend, "model_class": type(self._lm).__name__, "dtype": self._spec.dtype}

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer in chunks, longest first, one request type at a time."""
        order = sorted(
            range(len(requests)),
            key=lambda i: (requests[i].kind, -len(requests[i].context) - len(requests[i].continuation)),
        )
        while order:
            kind = requests[order[0]].kind
            chunk = [index for index in order[:CHUNK] if requests[index].kind == kind]
            order = order[len(chunk) :]
            yield self._chunk(chunk, requests)

    def close(self) -> None:
        """Drop the model."""
        del self._lm

    def _chunk(self, indices: Sequence[int], requests: Sequence[Request]) -> Batch:
        try:
            return self._ask(indices, requests)
        # A foreign model may raise anything. Repeating one by one finds the requests that cause it.
        except Exception as error:
            if len(indices) == 1:
                message = f"{type(error).__name__}: {error}"[:500]
                return [(indices[0], Failure(reason="error", message=message))]
            return [pair for index in indices for pair in self._chunk([index], requests)]

    def _ask(self, indices: Sequence[int], requests: Sequence[Request]) -> Batch:
        instances = [as_instance(requests[index], as_chat=self._chats) for index in indices]
        first = requests[indices[0]]
        if first.seed is not None:  # lm-eval's models sample with the process's random generator
            import torch

            torch.manual_seed(row_seed(first))
        responses = getattr(self._lm, instances[0].request_type)(instances, **self._quietly)
        if len(responses) != len(indices):
            message = f"{len(responses)} answers to {len(indices)} requests"
            return [(index, Failure(reason="missing", message=message)) for index in indices]
        return [(i, as_answer(response)) for i, response in zip(indices, responses, strict=True)]

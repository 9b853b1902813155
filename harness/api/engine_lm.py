"""Our engines as lm-eval models, so that plain lm-eval can use them: `LM` answers by an `Engine`.

lm-eval asks for lists of instances of one kind; here each becomes a `Request`, equal ones become one, and the engine
answers all of them at once. lm-eval has no failed answers, so a failure is an error, never a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from lm_eval.api.model import LM

from harness.checkpoints.resolver import resolve, resolve_on
from harness.cli.flag_values import DTYPES
from harness.cli.lm_eval_model import ADAPTERS, FLAGS, LEFT_OUT, ON_LM_EVAL, REFUSED, SAME
from harness.console import quietly
from harness.engines.base import Answer, Engine, EngineDied, Failure, Request
from harness.engines.registry import find_engine, open_engine
from harness.engines.spec import EngineSpec
from harness.engines.thoughts import ThinkTags
from harness.errors import EngineError, InputError, did_you_mean
from harness.evaluation.chat_template import TokenizerChatTemplate
from harness.evaluation.requests import Seeds, as_request

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from harness.checkpoints.checkpoint import Checkpoint

OTHER_NAMES = {"add_bos_token": "add_bos", **{name: flag for name, flag in FLAGS.items() if name != flag}}
OF_CHECKPOINT = ("revision", "tokenizer")
OF_ENGINE = ("dtype", "device", "batch_size", "max_length", "trust_remote_code", "allow_pickle", "think_end")
# lm-eval gives it to every model; our engines need no search for a batch size.
IGNORED = ("max_batch_size", *LEFT_OUT)


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


class EngineLM(LM):  # type: ignore[misc]
    """An lm-eval model that an engine of this project answers for.

    Args:
        pretrained: A checkpoint, as ``--model`` takes it.
        backend: Name of the engine.
        arguments: `OF_CHECKPOINT`, `OF_ENGINE`, ``peft`` and the engine's own ``--model_args``.

    Raises:
        InputError: the checkpoint or an argument is wrong, or the engine opens no checkpoints.
        EngineError: the engine cannot be opened.
    """

    backend = ""

    def __init__(self, pretrained: str, *, backend: str = "", **arguments: Any) -> None:
        super().__init__()
        self._name = backend or self.backend
        kind = find_engine(self._name)
        if kind.open_checkpoint is None:
            raise InputError(f"{self._name}: opens no checkpoints; give hf, vllm or another engine that does.")
        given = _in_own_words(arguments)
        if str(given.get("device")).startswith("cuda") and not _has_cuda():
            del given["device"]  # lm-eval's default is cuda:0, and its own models take the CPU where there is no GPU
        adapters = [given.pop(name) for name in ADAPTERS if name in given]
        self._spec = _spec(self._name, given)
        self._checkpoint = _checkpoint(pretrained, str(adapters[0]) if adapters else None, given)
        self._tags = None if self._spec.think_end is None else ThinkTags.of(self._spec.think_end)
        self._template: TokenizerChatTemplate | None = None
        with quietly():
            self._engine: Engine = open_engine(self._checkpoint, self._spec)
        self._description = self._engine.description

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: ARG002
        """Return log-likelihoods in nats, and whether each continuation is the greedy one."""
        answers = self._answers(requests)
        return self._cached("loglikelihood", requests, [(cast("float", a.logprob), bool(a.is_greedy)) for a in answers])

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """Return log-likelihoods of whole texts, in nats."""
        answers = self._answers(requests)
        return self._cached("loglikelihood_rolling", requests, [cast("float", a.logprob) for a in answers])

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """Return generated texts, without their thoughts; a text whose thought is not closed is empty."""
        texts = [cast("str", answer.text) for answer in self._answers(requests)]
        tags = self._tags
        if tags is not None:
            texts = [tags.answer(text, one.args[0]) or "" for text, one in zip(texts, requests, strict=True)]
        return self._cached("generate_until", requests, texts)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Choose a template by name, or the tokenizer's own, and return its text; None without one."""
        if chat_template is False or chat_template is None:
            return None
        self._template = self._opened_template(chat_template if isinstance(chat_template, str) else None)
        return self._template.text

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render a chat with the template that was chosen."""
        if self._template is None:
            self._template = self._opened_template(None)
        return self._template(chat_history, add_generation_prompt=add_generation_prompt)

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer, for lm-eval's cache of requests."""
        return str(self._checkpoint.tokenizer).replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm-eval writes into its results about the model."""
        return {"model_revision": self._checkpoint.revision or "", "harness_engine": self._description}

    def close(self) -> None:
        """Free the engine's memory; the model is not used afterwards."""
        self._engine.close()

    def _opened_template(self, name: str | None) -> TokenizerChatTemplate:
        trusted = self._spec.trust_remote_code
        return TokenizerChatTemplate(self._checkpoint.tokenizer, name=name, trust_remote_code=trusted)

    def _answers(self, instances: Sequence[Instance]) -> list[Answer]:
        """Answer the instances, equal requests once.

        Raises:
            EngineError: a request failed, or the engine died.
        """
        requests = _numbered(instances)
        distinct = list(dict.fromkeys(requests))
        answers: dict[Request, Answer] = {}
        failures: list[Failure] = []
        try:
            for batch in self._engine.answer(distinct):
                for index, answer in batch:
                    if isinstance(answer, Failure):
                        failures.append(answer)
                    else:
                        answers[distinct[index]] = answer
        except EngineDied as death:
            raise EngineError(f"{self._name}: the engine died ({death}); open the model again.") from death
        if failures or len(answers) < len(distinct):
            failed = len(distinct) - len(answers)
            reasons = Counter(f"{one.reason}: {one.message}" for one in failures) or Counter({"no answer": failed})
            raise EngineError(
                f"{failed} of {len(distinct)} requests failed ({reasons.most_common(1)[0][0]}); lm-eval cannot leave "
                "items out, `harness eval` can."
            )
        return [answers[request] for request in requests]

    def _cached(self, kind: str, instances: Sequence[Instance], results: list[Any]) -> list[Any]:
        """Hand the results to lm-eval's cache, if it has one."""
        for instance, result in zip(instances, results, strict=True):
            self.cache_hook.add_partial(kind, instance.args, result)
        return results


class HarnessHF(EngineLM):
    """The packed transformers engine: ``lm_eval --model harness-hf``."""

    backend = "hf"


class HarnessVLLM(EngineLM):
    """The vLLM engine with its prefix cache: ``lm_eval --model harness-vllm``."""

    backend = "vllm"


def _numbered(instances: Sequence[Instance]) -> list[Request]:
    """Return the requests: lm-eval passes an instance with three repeats as the same object three times."""
    seen: Counter[int] = Counter()
    requests = []
    for instance in instances:
        requests.append(as_request(instance, seen[id(instance)], Seeds()))
        seen[id(instance)] += 1
    return requests


def _in_own_words(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return lm-eval's arguments under their names here, without those that change no answer.

    Raises:
        InputError: one cannot be honoured, or is given under two names with two values.
    """
    given: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or name in IGNORED or value in SAME.get(name, ()):
            continue
        if name in REFUSED:
            raise InputError(f"{name}={value}: cannot be used here; {REFUSED[name]}.")
        own = OTHER_NAMES.get(name, name)
        if given.setdefault(own, value) != value:
            raise InputError(
                f"{name}={value}: differs from {own}={given[own]}, which means the same; give one of them."
            )
    if given.get("revision") == "main":  # lm-eval's default, also for folders
        del given["revision"]
    return given


def _checkpoint(pretrained: str, adapter: str | None, given: Mapping[str, Any]) -> Checkpoint:
    """Find the checkpoint; an adapter may be on another base than the one that its config names."""
    options: dict[str, Any] = {name: given.get(name) for name in OF_CHECKPOINT}
    options["allow_pickle"] = bool(given.get("allow_pickle"))
    return resolve(pretrained, **options) if adapter is None else resolve_on(pretrained, adapter, **options)


def _spec(backend: str, given: dict[str, Any]) -> EngineSpec:
    """Return the options of the engine; what is not known here is its own ``--model_args``."""
    known = {name: value for name, value in given.items() if name in OF_ENGINE and value is not None}
    known["batch_size"] = _batch_size(known.get("batch_size", "auto"))
    if "dtype" in known:
        text = str(known["dtype"]).removeprefix("torch.")
        known["dtype"] = DTYPES.get(text, text)
    own = {name: value for name, value in given.items() if name not in (*OF_ENGINE, *OF_CHECKPOINT)}
    if backend == "hf":
        _check_own(own)
    return EngineSpec(backend=backend, model_args=own, **known)


def _check_own(own: dict[str, Any]) -> None:
    """Name the nearest argument of all, not only of the engine's own."""
    from harness.engines.hf.engine import ARGUMENTS

    known = ("pretrained", *OF_CHECKPOINT, *OF_ENGINE, *ADAPTERS, *ARGUMENTS)
    for name in own:
        if name in ON_LM_EVAL["hf"]:
            raise InputError(
                f"{name}={own[name]}: only lm-eval's own model takes this; give model='hf', or leave it out."
            )
        if name not in ARGUMENTS:
            raise InputError(f"{name}: no such argument; give {', '.join(known)}.{did_you_mean(name, known)}")


def _batch_size(value: int | str) -> int | str:
    """Return ``auto`` or a number; lm-eval's ``auto:4`` is ``auto``."""
    text = str(value)
    if text.partition(":")[0] == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"batch_size={value}: give a whole number of 1 or more, or auto.")
    return int(text)

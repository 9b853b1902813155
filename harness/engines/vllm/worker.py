"""The process that holds a vLLM engine: ``python -m harness.engines.vllm.worker FD``.

Only this file imports vllm.

An engine has a process of its own because it changes the one it runs in (torch's threads, default devices, the
distributed state, memory that is freed only when the process ends) and writes to its standard output. `queries` decides
what is asked and how replies are joined; `client` starts and ends this process.

Needs vLLM 0.20 or newer: `REQUIRED` names the fields of its SamplingParams that scoring depends on, checked once.
"""

from __future__ import annotations

import dataclasses
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from harness.engines.base import Scored
from harness.engines.vllm.generation import Generated, Generation, Refused
from harness.engines.vllm.queries import (
    TIED,
    Counts,
    Group,
    Query,
    Reply,
    Table,
    first_round,
    repeats,
    second_round,
    ties,
)
from harness.errors import InputError, did_you_mean, whole_reason

REQUIRED = ("skip_reading_prefix_cache", "logprob_token_ids", "prompt_logprobs", "flat_logprobs")
# Defaults for the CPU build. Compiling takes longer than most evaluations. The cache shares whole blocks, and 32 tokens
# are the smallest that its attention takes. The logits of 1,024 tokens and 150,000 words already take 600 MB.
CPU_DEFAULTS = {"enforce_eager": True, "block_size": 32, "max_num_batched_tokens": 1024}
CPU_KV_CACHE_GIB = "2"
ORPHAN_CHECK_SECONDS = 1.0
INSPECTION = "harness.engines.vllm.inspection.Inspection"


class Engine:
    """A vLLM `LLM` that scores groups and continues prompts.

    Args:
        arguments: Arguments of vLLM's EngineArgs.
        device: ``auto``, ``cpu`` or ``cuda``; vLLM is built for one of them and refuses the other.

    Raises:
        InputError: this vLLM is too old, is built for another device or refuses the arguments.
    """

    def __init__(self, arguments: Mapping[str, Any], device: str) -> None:
        import vllm
        from vllm.platforms import current_platform

        _check(vllm, arguments)
        on_cpu = current_platform.is_cpu()
        if device != "auto" and (device == "cpu") != on_cpu:
            built = "the CPU" if on_cpu else current_platform.device_name
            raise InputError(f"--device {device}: the installed vLLM is built for {built}; leave --device out.")
        if on_cpu:
            # In one process, scheduling does not depend on when requests arrive, so answers repeat bit by bit.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
            if "kv_cache_memory_bytes" not in arguments:
                os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_KV_CACHE_GIB)
            arguments = {**CPU_DEFAULTS, **arguments}
        self._vllm = vllm
        self._adapters: dict[str, int] = {}
        try:
            self._llm = vllm.LLM(**arguments, worker_extension_cls=INSPECTION)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise InputError(
                f"--backend vllm: vLLM refuses to open the model ({_line(error)}); see --model_args."
            ) from error
        cache = self._llm.llm_engine.vllm_config.cache_config
        self._block_tokens = int(cache.block_size)
        self.description = {
            "vllm": vllm.__version__,
            "device": "cpu" if on_cpu else current_platform.get_device_name(),
            **self._llm.collective_rpc("inspect")[0],
            "kv_cache_tokens": (cache.num_gpu_blocks or 0) * self._block_tokens,
        }

    def load(self, adapter: str) -> None:
        """Load an adapter now, so that an adapter that vLLM refuses is reported before any work.

        Raises:
            InputError: vLLM refuses the adapter.
        """
        try:
            self._llm.llm_engine.add_lora(self._lora(adapter))
        except Exception as error:
            raise InputError(
                f"--backend vllm: vLLM refuses the adapter {adapter} ({_line(error)}); merge it into its base or use "
                "--backend hf."
            ) from error

    def reset(self) -> None:
        """Forget all cached prefixes."""
        self._llm.reset_prefix_cache()

    def score(self, groups: Sequence[Group], adapter: str | None) -> tuple[list[list[Scored | Refused]], Counts]:
        """Score every continuation of every group; also returns how many queries that took."""
        tables = [Table(group) for group in groups]

        def ask(queries: Sequence[Query]) -> dict[Query, Refused]:
            prompts = [[*groups[query.group].context, *query.head] for query in queries]
            outputs = self._run(prompts, [self._scoring(query) for query in queries], adapter)
            refused: dict[Query, Refused] = {}
            for query, output in zip(queries, outputs, strict=True):
                if isinstance(output, Refused):
                    refused[query] = output
                else:
                    tables[query.group].read(query, _reply(query, output))
            return refused

        first, second = list(first_round(groups, block_tokens=self._block_tokens)), list(second_round(groups))
        ask(first)
        ask(second)
        repeated = list(repeats(groups, tables))
        refused = ask(repeated)
        tied = list(ties(groups, tables))
        ask(tied)
        scores = [
            [table.score(tokens) or _reason(refused, number, tokens) for tokens in group.continuations]
            for number, (group, table) in enumerate(zip(groups, tables, strict=True))
        ]
        again = len(repeated) + len(tied)
        return scores, Counts(queries=len(first) + len(second) + again, repeated=again)

    def generate(self, generations: Sequence[Generation], adapter: str | None) -> list[Generated | Refused]:
        """Continue every prompt."""
        params = [self._sampling(generation) for generation in generations]
        good = [index for index, own in enumerate(params) if not isinstance(own, Refused)]
        outputs = self._run([generations[index].prompt for index in good], [params[index] for index in good], adapter)
        results = {**dict(enumerate(params)), **dict(zip(good, outputs, strict=True))}
        return [_generated(results[index]) for index in range(len(generations))]

    def _sampling(self, generation: Generation) -> Any:
        try:
            return self._vllm.SamplingParams(**generation.arguments)
        except (TypeError, ValueError, self._client_error()) as error:
            return Refused(f"generation arguments: {_line(error)}")

    def _scoring(self, query: Query) -> Any:
        return self._vllm.SamplingParams(
            temperature=0.0,
            max_tokens=1,
            detokenize=False,
            logprob_token_ids=list(query.targets),
            # 2: the prompt's own tokens and the two most likely ones, of which one is another token and shows a tie.
            prompt_logprobs=2 if query.head else None,
            flat_logprobs=True,
            skip_clone=True,  # only this query uses it; vLLM would make a deep copy
            skip_reading_prefix_cache=not query.cached,
        )

    def _run(self, prompts: Sequence[list[int]], params: Sequence[Any], adapter: str | None) -> list[Any]:
        """Run prompts; returns the outputs in order, with a `Refused` for each prompt that vLLM refuses.

        vLLM names no prompt when it refuses one of a list, so the list is halved until the one is found.
        """
        if not prompts:
            return []
        tokens = [self._vllm.TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        try:
            return list(self._llm.generate(tokens, list(params), lora_request=self._lora(adapter), use_tqdm=False))
        except (ValueError, TypeError, self._client_error()) as error:
            # If the error came while requests were checked, vLLM has dropped those accepted before; otherwise it is
            # broken.
            if self._llm.llm_engine.has_unfinished_requests():
                raise
            if len(prompts) == 1:
                return [Refused(_line(error))]
            half = len(prompts) // 2
            return [
                *self._run(prompts[:half], params[:half], adapter),
                *self._run(prompts[half:], params[half:], adapter),
            ]

    def _lora(self, adapter: str | None) -> Any:
        if adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        number = self._adapters.setdefault(adapter, len(self._adapters) + 1)
        return LoRARequest(f"adapter-{number}", number, adapter)

    @staticmethod
    def _client_error() -> type[Exception]:
        from vllm.exceptions import VLLMValidationError

        error: type[Exception] = VLLMValidationError
        return error


def _check(vllm: Any, arguments: Mapping[str, Any]) -> None:
    from vllm.engine.arg_utils import EngineArgs

    missing = [name for name in REQUIRED if name not in vllm.SamplingParams.__struct_fields__]
    if missing:
        raise InputError(
            f"--backend vllm: vLLM {vllm.__version__} has no SamplingParams.{missing[0]}; install vLLM 0.20 or newer."
        )
    known = [field.name for field in dataclasses.fields(EngineArgs)]
    for name in arguments:
        if name not in known:
            raise InputError(
                f"--model_args {name}: not one of vLLM {vllm.__version__}'s engine arguments."
                f"{did_you_mean(name, known)}"
            )


def _reason(refused: Mapping[Query, Refused], group: int, continuation: tuple[int, ...]) -> Refused:
    """Why a token of a continuation is not known."""
    for query, refusal in refused.items():
        tokens = query.head + query.targets
        if query.group == group and continuation[: len(tokens)] == tokens:
            return refusal
    return Refused("vLLM returned no log-probability for some of its tokens, even when queried once more")


def _reply(query: Query, output: Any) -> Reply:
    behind = output.outputs[0].logprobs[0]
    rows: list[tuple[float, int] | None] = []
    if query.head:
        table = output.prompt_logprobs or []
        for token, position in zip(query.head, range(len(table) - len(query.head), len(table)), strict=True):
            # For what the cache served, some versions leave rows out at the front, so rows are counted from the end.
            row = (table[position] or {}) if position > 0 else {}
            rows.append(_row(row, token))
    return Reply(
        behind={target: behind[target].logprob for target in query.targets},
        best=output.outputs[0].token_ids[0],
        rows=rows,
        cached_tokens=output.num_cached_tokens,
    )


def _row(row: Mapping[int, Any], token: int) -> tuple[float, int] | None:
    """Log-probability and rank of a token of the prompt; None if the row is about other tokens."""
    if next(iter(row), None) != token:  # vLLM puts the prompt's own token first
        return None
    own = row[token]
    other = max((each.logprob for key, each in row.items() if key != token), default=-math.inf)
    rank = TIED if own.logprob == other else 1 if own.logprob > other else own.rank
    return own.logprob, rank


def _generated(output: Any) -> Generated | Refused:
    if isinstance(output, Refused):
        return output
    return Generated(output.outputs[0].text, len(output.outputs[0].token_ids))


def _line(error: BaseException) -> str:
    name, message = type(error).__name__, whole_reason(error)
    return message if message.startswith(name) else f"{name}: {message}"


def serve(connection: Connection) -> None:
    """Open an engine with the first message's arguments, then answer messages until the connection closes.

        -> ("open", (arguments, "auto"))         <- ("ok", description)
        -> ("score", (groups, None))             <- ("ok", (scores, 0))

    A message is a method's name and its arguments. An answer is ``("ok", result)``, ``("input_error", line)`` or
    ``("died", line)``. The process ends after ``died``, and after ``input_error`` if the engine could not be opened.
    """
    engine: Engine | None = None
    for name, arguments in _messages(connection):
        try:
            if engine is None:
                engine = Engine(*arguments)
                result: Any = engine.description
            else:
                result = getattr(engine, name)(*arguments)
        except InputError as error:
            connection.send(("input_error", str(error)))
            if engine is None:
                return
            continue
        # vLLM raises exceptions of any type; the other side is told and may start another process.
        except Exception as error:
            connection.send(("died", _line(error)))
            raise
        connection.send(("ok", result))


def _messages(connection: Connection) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the messages, read on a thread: the other side sends the next one before it reads the last answer.

    Without the thread, a message larger than the pipe's buffer would make both sides wait for each other.
    """
    messages: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                messages.put(connection.recv())
        except (EOFError, OSError):
            messages.put(None)

    threading.Thread(target=read, daemon=True, name="messages").start()
    while (message := messages.get()) is not None:
        yield message


def _end_with(parent: int) -> None:
    """End this process and its children when the parent has ended, even if it was killed and the engine is busy."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os.killpg(os.getpgid(0), 9)


def main() -> None:
    """Serve on the file descriptor given as first argument."""
    os.dup2(2, 1)  # standard output is the parent's, so what vLLM prints goes to standard error
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()

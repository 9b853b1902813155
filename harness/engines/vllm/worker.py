"""The process that holds a vLLM engine: ``python -m harness.engines.vllm.worker FD``.

Only this file imports vllm.

A process of its own, because an engine leaves traces in the one it runs in (torch's threads, default devices, the
distributed state, memory that comes back only when the process ends) and writes to its standard output. What is asked
and how answers are joined is decided in `vllm_groups`; who starts and ends this process is `vllm_client`.

Needs vLLM 0.20 or newer: `REQUIRED` names the fields of its SamplingParams that scoring is built on, looked at once.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from harness.engines.base import Scored
from harness.engines.vllm.generation import Generated, Generation, Refused
from harness.engines.vllm.queries import Group, Query, Reply, Table, again, first_round, second_round
from harness.errors import InputError, did_you_mean

REQUIRED = ("skip_reading_prefix_cache", "logprob_token_ids", "prompt_logprobs", "flat_logprobs")
# What the CPU build is opened with unless the user says otherwise: compiling takes longer than most evaluations; a
# block is what the cache shares at least, and 32 is the least that its attention takes; the logits of a forward pass
# of 1,024 tokens and 150,000 words already take 600 MB.
CPU_DEFAULTS = {"enforce_eager": True, "block_size": 32, "max_num_batched_tokens": 1024}
CPU_KV_CACHE_GIB = "2"
ORPHAN_CHECK_SECONDS = 1.0


class Engine:
    """A vLLM `LLM` that scores groups and continues prompts.

    Args:
        arguments: Of vLLM's EngineArgs.
        device: ``auto``, ``cpu`` or ``cuda``; vLLM is built for one, and another is refused.

    Raises:
        InputError: when this vLLM lacks what is needed here, is built for another device or refuses the arguments.
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
            self._llm = vllm.LLM(**arguments)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise InputError(
                f"--backend vllm: vLLM refuses to open the model ({_line(error)}); see --model_args."
            ) from error
        config = self._llm.llm_engine.vllm_config
        self.description = {
            "vllm": vllm.__version__,
            "device": "cpu" if on_cpu else current_platform.get_device_name(),
            "kv_cache_tokens": (config.cache_config.num_gpu_blocks or 0) * config.cache_config.block_size,
        }

    def load(self, adapter: str) -> None:
        """Load an adapter now, so that what vLLM has against it is told before any work.

        Raises:
            InputError: when vLLM does not take it.
        """
        try:
            self._llm.llm_engine.add_lora(self._lora(adapter))
        except Exception as error:
            raise InputError(
                f"--backend vllm: vLLM does not take the adapter {adapter} ({_line(error)}); merge it into its base or "
                "use --backend hf."
            ) from error

    def reset(self) -> None:
        """Forget all cached prefixes."""
        self._llm.reset_prefix_cache()

    def score(self, groups: Sequence[Group], adapter: str | None) -> tuple[list[list[Scored | Refused]], int]:
        """Score every continuation of every group; also returns how many queries had to be asked again."""
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

        ask(list(first_round(groups)))
        ask(list(second_round(groups)))
        lacking = list(again(groups, tables))
        refused = ask(lacking)
        scores = [
            [table.score(said) or _reason(refused, number, said) for said in group.continuations]
            for number, (group, table) in enumerate(zip(groups, tables, strict=True))
        ]
        return scores, len(lacking)

    def generate(self, generations: Sequence[Generation], adapter: str | None) -> list[Generated | Refused]:
        """Continue every prompt."""
        params = [self._sampling(generation) for generation in generations]
        good = [index for index, found in enumerate(params) if not isinstance(found, Refused)]
        outputs = self._run([generations[index].prompt for index in good], [params[index] for index in good], adapter)
        said = {**dict(enumerate(params)), **dict(zip(good, outputs, strict=True))}
        return [_generated(said[index]) for index in range(len(generations))]

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
            # 0: the prompt's own tokens, with their ranks, and no other.
            prompt_logprobs=0 if query.head else None,
            flat_logprobs=True,
            skip_reading_prefix_cache=not query.cached,
        )

    def _run(self, prompts: Sequence[list[int]], params: Sequence[Any], adapter: str | None) -> list[Any]:
        """Run prompts; returns the outputs in order, with a `Refused` for each prompt that it does not take."""
        if not prompts:
            return []
        tokens = [self._vllm.TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        try:
            return list(self._llm.generate(tokens, list(params), lora_request=self._lora(adapter), use_tqdm=False))
        except (ValueError, TypeError, self._client_error()) as error:
            # Raised while requests are checked, vLLM has taken back those it had accepted; else it is broken.
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

        found: type[Exception] = VLLMValidationError
        return found


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
    """Why something of a continuation is not known."""
    for query, said in refused.items():
        asked = query.head + query.targets
        if query.group == group and continuation[: len(asked)] == asked:
            return said
    return Refused("vLLM gave no log-probability for some of its tokens, not even when it was asked for them again")


def _reply(query: Query, output: Any) -> Reply:
    behind = output.outputs[0].logprobs[0]
    rows: list[tuple[float, int] | None] = []
    if query.head:
        table = output.prompt_logprobs or []
        for token, position in zip(query.head, range(len(table) - len(query.head), len(table)), strict=True):
            # Where the cache served the prompt, some versions leave rows out, which shortens the table at its front.
            row = (table[position] or {}).get(token) if position > 0 else None
            rows.append(None if row is None else (row.logprob, row.rank))
    return Reply(
        behind={target: behind[target].logprob for target in query.targets},
        best=output.outputs[0].token_ids[0],
        rows=rows,
        cached_tokens=output.num_cached_tokens,
    )


def _generated(output: Any) -> Generated | Refused:
    if isinstance(output, Refused):
        return output
    return Generated(output.outputs[0].text, len(output.outputs[0].token_ids))


def _line(error: BaseException) -> str:
    words = " ".join(str(error).split())  # the reason may stand in any of its lines
    return f"{type(error).__name__}: {words[:400]}" if words else type(error).__name__


def serve(connection: Connection) -> None:
    """Open an engine as the first message says, then answer messages until the other side is gone.

    Every message is a method's name and its arguments; every answer ``("ok", result)``, ``("input_error", line)`` or
    ``("died", line)``, after the last of which this process ends, as it does when the engine cannot be opened.
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
        # What stops an engine is not ours to foresee; the other side is told, and may start another process.
        except Exception as error:
            connection.send(("died", _line(error)))
            raise
        connection.send(("ok", result))


def _messages(connection: Connection) -> Iterator[tuple[str, tuple[Any, ...]]]:
    while True:
        try:
            yield connection.recv()
        except EOFError:
            return


def _end_with(parent: int) -> None:
    """End this process and its children soon after the parent, even when it was killed and the engine is busy."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os.killpg(os.getpgid(0), 9)


def main() -> None:
    """Serve on the file descriptor that the first argument names; standard output is the parent's, so logs avoid it."""
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()

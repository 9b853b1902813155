"""Engines of this project as models of plain lm-eval: the packed `hf` and `vllm`.

    import lm_eval
    import harness

    model = harness.lm_eval_models.load("hf", pretrained="runs/sft", dtype="float32")
    lm_eval.simple_evaluate(model=model, tasks=["arc_easy"])

    harness.lm_eval_models.register()
    lm_eval.simple_evaluate(model="harness-hf", model_args="pretrained=runs/sft", tasks=["arc_easy"])

On the command line, ``python -m harness.lm_eval_models`` is ``lm_eval`` with these models registered::

    python -m harness.lm_eval_models run --model harness-hf --model_args pretrained=runs/sft --tasks arc_easy

Scores equal those of lm-eval's own `hf` model to 1e-3 nats, with the same greedy flags.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api.engine_lm import EngineLM

MODELS = {
    "harness-hf": "harness.api.engine_lm:HarnessHF",
    "harness-vllm": "harness.api.engine_lm:HarnessVLLM",
}
"""lm-eval's names of our engines, and the classes."""


def load(backend: str, *, pretrained: str | os.PathLike[str], **arguments: Any) -> EngineLM:
    """Open an engine as an lm-eval model.

    Args:
        backend: ``hf``, ``vllm``, or another engine that opens checkpoints.
        pretrained: A checkpoint: folder, .gguf file, hub id, or what `harness.train` returns.
        **arguments: ``dtype``, ``device``, ``batch_size``, ``max_length``, ``tokenizer``, ``revision``, ``peft``,
            ``trust_remote_code``, ``allow_pickle``, ``think_end``, and the engine's own arguments.

    Raises:
        InputError: the checkpoint or an argument is wrong.
        EngineError: the engine cannot be opened.
    """
    from harness.api.engine_lm import EngineLM

    return EngineLM(os.fspath(pretrained), backend=backend, **arguments)


def register() -> None:
    """Let lm-eval find our engines by name, for this process; calling it again changes nothing."""
    import lm_eval.models  # noqa: F401 - registers lm-eval's own, which it does only while there are none
    from lm_eval.api.registry import model_registry

    for name, place in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=place)


def main() -> None:
    """Run lm-eval's own command with our engines registered; an error that a user can mend is one line."""
    from lm_eval.__main__ import cli_evaluate

    from harness.errors import HarnessError

    register()
    try:
        cli_evaluate()
    except HarnessError as error:
        sys.stderr.write(f"lm_eval: {error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()

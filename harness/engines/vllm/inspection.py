"""Reports what vLLM chose by itself, from the process that holds the model, which may be a child of the worker."""

from __future__ import annotations

from typing import Any


class Inspection:
    """Methods that vLLM adds to its own worker class; `LLM.collective_rpc` calls them by name."""

    # Attributes of vLLM's worker.
    model_runner: Any
    vllm_config: Any

    def inspect(self) -> dict[str, Any]:
        """Return the model runner, ``V1`` or ``V2``, and the names of attention backends, such as ``FLASH_ATTN``."""
        from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase

        # V1 is defined in vllm.v1.worker.gpu_model_runner, V2 in vllm.v1.worker.gpu.model_runner.
        is_v2 = type(self.model_runner).__module__.endswith(".model_runner")
        layers = self.vllm_config.compilation_config.static_forward_context.values()
        backends = {layer.get_attn_backend().get_name() for layer in layers if isinstance(layer, AttentionLayerBase)}
        return {"model_runner": "V2" if is_v2 else "V1", "attention_backends": sorted(backends)}

"""The `vllm` engine: vLLM in a worker process, asked so that its prefix cache is met."""

"""The `hf` engine: transformers models, each context computed once for all its continuations."""

"""Running one stage: check its file, plan it, train it with a library's trainer, and describe it in a manifest."""

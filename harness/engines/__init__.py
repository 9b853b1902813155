"""Engines: what answers requests. `base` has the contract, `registry` finds engines by name."""

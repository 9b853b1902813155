"""The former place of `harness.engines.engine_pool`."""

from harness.engines.engine_pool import POOL

kept = POOL.keep_open

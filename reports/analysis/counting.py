"""Numbers of things in sentences."""

from harness.wording import counted

__all__ = ["counted"]

"""The sandbox's tests want bubblewrap and say so; attacks are never run in anything less."""

from __future__ import annotations

import os

import pytest

from harness.sandbox import SandboxError
from harness.sandbox.backends import choose


@pytest.fixture(scope="session")
def bubblewrap() -> str:
    """The backend's name. Without it the tests fail, unless HARNESS_TEST_WITHOUT_BUBBLEWRAP=1 lets them be skipped."""
    try:
        return choose("bubblewrap")
    except SandboxError as error:
        if os.environ.get("HARNESS_TEST_WITHOUT_BUBBLEWRAP") == "1":
            pytest.skip(str(error))
        pytest.fail(f"{error} (or set HARNESS_TEST_WITHOUT_BUBBLEWRAP=1 to leave these tests out)")

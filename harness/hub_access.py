"""Check within 4 seconds whether the hub can be reached: its own client retries each request for half a minute.

with cache_only_without_hub():
    load_dataset("org/name")     # without a network: reads the hub's cache, or fails within 4 seconds
"""

from __future__ import annotations

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from socket import create_connection
from unittest import mock
from urllib.parse import urlsplit

SECONDS_TO_CONNECT = 4.0
SECONDS_REMEMBERED = 60.0
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, kw_only=True)
class _Finding:
    reason: str
    at: float  # on the monotonic clock


_findings: dict[tuple[str, int], _Finding] = {}


def why_no_hub() -> str:
    """Return why the hub cannot be asked, such as ``HF_HUB_OFFLINE is set``; an empty text if it can.

    The result is kept for 60 seconds.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES:
        return "HF_HUB_OFFLINE is set"
    address = _address(constants.ENDPOINT)
    finding = _findings.get(address)
    if finding is None or time.monotonic() - finding.at > SECONDS_REMEMBERED:
        finding = _findings[address] = _Finding(reason=_why_no_answer(*address), at=time.monotonic())
    return finding.reason


def forget_findings() -> None:
    """Try the addresses again at the next call."""
    _findings.clear()


def _address(endpoint: str) -> tuple[str, int]:
    """Return the host and port to connect to: the endpoint's, or those of the proxy that the environment names."""
    url = urlsplit(endpoint)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or _PORTS.get(url.scheme, 443)


def _why_no_answer(host: str, port: int) -> str:
    """Connect in a thread of its own, because looking up a name has no time limit."""
    reasons: list[str] = []

    def connect() -> None:
        try:
            create_connection((host, port), timeout=SECONDS_TO_CONNECT).close()
            reasons.append("")
        except OSError as error:
            reasons.append(f"{host} cannot be reached ({error.strerror or error})")

    thread = threading.Thread(target=connect, daemon=True, name="hub")
    thread.start()
    thread.join(SECONDS_TO_CONNECT)
    return reasons[0] if reasons else f"{host} cannot be reached (no answer in {SECONDS_TO_CONNECT:.0f} seconds)"


@contextmanager
def cache_only_without_hub() -> Iterator[str]:
    """Let the hub's libraries use their cache only, within the block, if the hub cannot be asked. Yields `why_no_hub`.

    Import `datasets` before the block: it reads the setting once.
    """
    reason = why_no_hub()
    with ExitStack() as stack:
        if reason:
            for module in ("huggingface_hub.constants", "datasets.config"):
                if module in sys.modules:
                    stack.enter_context(mock.patch.object(sys.modules[module], "HF_HUB_OFFLINE", True))
        yield reason

"""Serve the viewer on this machine until the user ends it."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable

import uvicorn

from harness.errors import InputError
from harness.reports.view.app import application
from harness.reports.view.pages import Pages

HOST = "127.0.0.1"
USUAL_PORT = 8765


def serve(pages: Pages, port: int | None, announce: Callable[[str], None]) -> None:
    """Serve the pages until Ctrl-C or SIGTERM.

    Args:
        pages: What to show.
        port: The port; 0 for any free one, None for the usual one or, if that is taken, any free one.
        announce: Given the address to open, once it answers.

    Raises:
        InputError: The port cannot be used.
    """
    with listening(port) as listener:
        server, address = server_of(pages, listener)
        announce(address)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has ended
            server.run(sockets=[listener])


def listening(port: int | None) -> socket.socket:
    """Return a socket that listens at a port of this machine, which no other machine reaches.

    Raises:
        InputError: The port cannot be used.
    """
    try:
        return socket.create_server((HOST, USUAL_PORT if port is None else port))
    except OSError as error:
        if port is None:
            return socket.create_server((HOST, 0))
        raise InputError(
            f"--port {port}: cannot be used ({error.strerror}); give another from 1024 to 65535, or 0 for any free one."
        ) from None
    except OverflowError:
        raise InputError(f"--port {port}: give a number from 0 to 65535.") from None


def server_of(pages: Pages, listener: socket.socket) -> tuple[uvicorn.Server, str]:
    """Return the server of the pages for this socket, and the address to open, with its token."""
    port = int(listener.getsockname()[1])
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        application(pages, token=token, port=port),
        log_level="error",
        access_log=False,  # it would write the token
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config), f"http://{HOST}:{port}/?token={token}"

"""What stands between the viewer and other programs: the token, and headers that keep a page to itself.

A browser shows pages of other sites beside this one, and other users of the machine reach its ports. So

- every request needs a token: in the address that the command prints, then in a cookie. Only the style sheet and the
  script, which are those of every viewer, need none: the page that asks for the token uses them;
- the ``Host`` header must name this machine, so that no site can point its own name here;
- only GET and HEAD are answered, and nothing is ever written;
- pages run the viewer's own script only, load nothing from elsewhere and stand in no frame.

It does not protect from programs of the same user, which can read the records anyway.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HOSTS = ("127.0.0.1", "localhost")
OPEN_PATHS = "/static/"

Refusal = Callable[[str, list[tuple[str, str]]], str]
"""Takes path and query of an address without the right token; returns the page that asks for the token."""


class Guard:
    """Lets requests with the token pass, and adds the headers to every response.

    Args:
        app: What answers.
        token: The secret of this run.
        cookie: Name of the cookie; browsers share cookies between ports, so it holds the port.
        refusal: The page for requests without the token.
    """

    def __init__(self, app: ASGIApp, token: str, cookie: str, refusal: Refusal) -> None:
        self._app, self._token, self._cookie, self._refusal_page = app, token, cookie, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        await (self._app if refusal is None else refusal)(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass: a refusal, or a cookie for the right token."""
        host = request.headers.get("host", "")
        if host.partition(":")[0] not in HOSTS:
            return PlainTextResponse(
                f"Host {host[:80]!a}: open the viewer at 127.0.0.1 or localhost.\n", status_code=400
            )
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("The viewer only reads: GET or HEAD.\n", status_code=405)
        if self._is_token(request.query_params.get("token", "")):
            return self._with_cookie(request)
        if self._is_token(request.cookies.get(self._cookie, "")) or request.url.path.startswith(OPEN_PATHS):
            return None
        return HTMLResponse(self._refusal_page(_path(request), parse_qsl(request.url.query)), status_code=403)

    def _with_cookie(self, request: Request) -> Response:
        """Return a redirection to the same address without the token, which must not stand in a history."""
        rest = [(key, value) for key, value in parse_qsl(request.url.query) if key != "token"]
        response = RedirectResponse(_path(request) + (f"?{urlencode(rest)}" if rest else ""), status_code=303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="lax")
        return response

    def _is_token(self, word: str) -> bool:
        return secrets.compare_digest(word.encode(errors="replace"), self._token.encode())


def _path(request: Request) -> str:
    """Return the path of a request, which a browser must not take for another host, as it does with "//host"."""
    return "/" + quote(request.url.path.lstrip("/"), safe="/%")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sending

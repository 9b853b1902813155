"""The addresses of the viewer.

/                        ranks and values by task: means over seeds, or with ?runs=single every run by itself
/compare?model=A&model=B differences, as `harness compare` prints them
/items?...               items under a filter (`filters`)
/item?...&id=3b9e07aa    one item, side by side
/export?...&format=csv   the items under a filter as a file; with &id=3b9e07aa, this item
/table?name=leaderboard  a table of the first page or of a comparison as CSV
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.errors import HarnessError, InputError, RecordError
from harness.reports.view.export import FORMATS, exported
from harness.reports.view.filters import Filter, filter_of
from harness.reports.view.guard import Guard
from harness.reports.view.index import Item
from harness.reports.view.options import MEANS, SINGLE
from harness.reports.view.pages import FILES, Pages
from harness.visible import visible


def application(pages: Pages, *, token: str, port: int) -> Starlette:
    """Return the web app.

    Args:
        pages: What it shows.
        token: What a browser must bring.
        port: The port it is served at.
    """
    answers = _Answers(pages)
    places: dict[str, Callable[[Request], Response]] = {
        "/": answers.overview,
        "/compare": answers.comparison,
        "/items": answers.items,
        "/item": answers.item,
        "/export": answers.export,
        "/table": answers.table,
        "/static/{name}": answers.file,
    }
    return Starlette(
        routes=[Route(path, answer, methods=["GET"]) for path, answer in places.items()],
        middleware=[
            Middleware(Guard, token=token, cookie=f"harness_view_{port}", refusal=pages.refused),
        ],
        exception_handlers={HTTPException: answers.not_found, HarnessError: answers.problem},
    )


class _Answers:
    """One method per address; Starlette runs them in threads."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def overview(self, request: Request) -> Response:
        return HTMLResponse(self._pages.overview(_runs(request)))

    def comparison(self, request: Request) -> Response:
        return HTMLResponse(
            self._pages.comparison(self._filter(request), chosen=_names_models(request), runs=_runs(request))
        )

    def items(self, request: Request) -> Response:
        return HTMLResponse(self._pages.items(self._filter(request)))

    def item(self, request: Request) -> Response:
        wanted = self._filter(request)
        item = self._item(request, wanted)
        if request.query_params.get("among") == "all":
            wanted = Filter(models=wanted.models, outcome=wanted.outcome, words=wanted.words)
        return HTMLResponse(self._pages.item(item, wanted))

    def export(self, request: Request) -> Response:
        kind = request.query_params.get("format", "csv")
        if kind not in FORMATS:
            raise InputError(f"format {kind[:40]}: give one of {', '.join(FORMATS)}.")
        wanted = self._filter(request)
        only = self._item(request, wanted).number if "id" in request.query_params else None
        parts = exported(self._pages.index, self._pages.details, wanted, kind, only=only)
        first = next(parts)  # a missing file is a page that says so, and not a file that ends early
        encoded = (part.encode(errors="replace") for part in chain([first], parts))
        return StreamingResponse(encoded, media_type=FORMATS[kind], headers=_file_name(f"items.{kind}"))

    def table(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        chosen = _names_models(request)
        content = self._pages.table(name, self._filter(request), chosen=chosen, runs=_runs(request))
        return Response(content.encode(errors="replace"), media_type=FORMATS["csv"], headers=_file_name(f"{name}.csv"))

    def file(self, request: Request) -> Response:
        known = FILES.get(request.path_params["name"])
        if known is None:
            raise HTTPException(404)
        return FileResponse(known[0], media_type=known[1])

    def problem(self, _request: Request, error: Exception) -> Response:
        """Show an error that has a remedy."""
        status = 404 if isinstance(error, InputError) and not isinstance(error, RecordError) else 500
        return HTMLResponse(self._pages.message(str(error), title="Cannot be shown"), status_code=status)

    def not_found(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = f"There is no page at {visible(request.url.path[:200])}."
        return HTMLResponse(self._pages.message(text, title="Nothing here"), status_code=status)

    def _item(self, request: Request, wanted: Filter) -> Item:
        task = self._pages.index.task(wanted.task)
        identifier = request.query_params.get("id", "")
        item = self._pages.index.find(task, identifier) if task is not None else None
        if item is None:
            raise InputError(f"no item {identifier[:80]} of the task {wanted.task or '(none)'} in these records.")
        return item

    def _filter(self, request: Request) -> Filter:
        return filter_of(self._pages.index, request.query_params.multi_items())


def _names_models(request: Request) -> bool:
    """Whether the address names models; otherwise all are compared with the leader."""
    return any(request.query_params.getlist("model"))


def _runs(request: Request) -> str:
    """What to show of runs that differ in their seed only; empty if the reader did not choose."""
    runs = request.query_params.get("runs", "")
    if runs not in ("", MEANS, SINGLE):
        raise InputError(f"runs {runs[:40]}: give {MEANS} for means over seeds, or {SINGLE}.")
    return runs


def _file_name(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}

"""A server on this machine that stands for the hub: it keeps what is uploaded, and serves it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote


class Hub(BaseHTTPRequestHandler):
    """The few addresses of the hub that an upload of small files uses."""

    files: ClassVar[dict[str, bytes]]
    commits: ClassVar[list[list[dict[str, Any]]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        address = self.path.partition("?")[0]
        if address.endswith("/preupload/main"):
            paths = [one["path"] for one in json.loads(body)["files"]]
            self._answer({"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]})
        elif address.endswith("/commit/main"):
            self._commit([json.loads(line) for line in body.splitlines()])
        elif address.endswith("/repos/create"):
            self._answer({"url": self._address(json.loads(body))})
        else:  # the check of a card
            self._answer({})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        self.commits.append(lines)
        for line in lines:
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        kind, _, repository = self.path.removeprefix("/api/").partition("/")
        url = self._address({"type": kind[:-1], "name": repository.partition("/commit/")[0]})
        self._answer({"commitUrl": f"{url}/commit/1", "commitOid": "1", "success": True})

    def _address(self, repository: dict[str, Any]) -> str:
        folder = "" if repository.get("type", "model") == "model" else f"{repository['type']}s/"
        name = "/".join(filter(None, [repository.get("organization"), repository["name"]]))
        return f"http://{self.headers['Host']}/{folder}{name}"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = unquote(self.path.partition("?")[0])
        if "/tree/main" in address:
            self._answer([{"type": "file", "path": path, "oid": "1", "size": len(data)} for path, data in
                          self.files.items()])  # fmt: skip
        elif "/resolve/main/" in address:
            self._send(self.files[address.partition("/resolve/main/")[2]], "application/octet-stream")
        else:
            self._answer({"id": "lab/repository", "sha": "1", "siblings": []})

    def _answer(self, content: Any) -> None:
        self._send(json.dumps(content).encode(), "application/json")

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", "1" * 40)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def running_hub() -> Iterator[tuple[dict[str, str], type[Hub]]]:
    """Run a hub within the block; yields the environment that leads to it, and what it keeps."""

    class KeptHub(Hub):
        files: ClassVar[dict[str, bytes]] = {}
        commits: ClassVar[list[list[dict[str, Any]]]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), KeptHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        yield {"HF_ENDPOINT": address, "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0"}, KeptHub
    finally:
        server.shutdown()
        server.server_close()

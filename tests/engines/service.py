"""A service with OpenAI's protocol that answers at once and fails on demand.

A generated text is the prompt, backwards. Log-probabilities depend on all tokens up to the scored one.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Status and headers of the error that the n-th request for a prompt gets, counted from 0; None gives a normal answer.
Trouble = Callable[[str, int], tuple[int, dict[str, str]] | None]
# As the status, these cut the answer: the connection ends early, or the text of the answer does.
CUT_CONNECTION, CUT_TEXT = -1, -2


class Service:
    """A service for completions and chats.

    Attributes:
        asked: How often each prompt was sent; a prompt of tokens counts as their numbers with spaces between them.
        most_at_once: The largest number of messages handled at the same time.
    """

    def __init__(self, trouble: Trouble = lambda prompt, n: None, seconds: float = 0.0, port: int = 0) -> None:
        self.asked: Counter[str] = Counter()
        self.most_at_once = 0
        self._now, self._changing = 0, threading.Lock()
        self._trouble, self._seconds = trouble, seconds
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, body = service.reply(message)
                content = json.dumps(body).encode()
                sent = content[: len(content) // 2] if status < 0 else content
                length = len(sent if status == CUT_TEXT else content)
                self.send_response(max(status, 200))
                for name, value in {**headers, "Content-Length": str(length)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, message: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return status, headers and body of the reply to a message."""
        chat = "messages" in message
        prompt = message["messages"][-1]["content"] if chat else message["prompt"]
        prompt = prompt[0] if isinstance(prompt, list) else prompt
        tokens = prompt if isinstance(prompt, list) else []
        prompt = " ".join(map(str, prompt)) if tokens else prompt
        with self._changing:
            number = self.asked[prompt]
            self.asked[prompt] += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self._seconds)
        with self._changing:
            self._now -= 1
        if (trouble := self._trouble(prompt, number)) is not None:
            return *trouble, {"error": "trouble of the service"}
        text = prompt[::-1]
        choice: dict[str, Any] = {"message": {"content": text}} if chat else {"text": text}
        if message.get("echo"):
            choice["logprobs"] = _logprobs([*tokens, 0])  # the service appends one token of its own
        return 200, {}, {"choices": [{"index": 0, **choice}]}

    def close(self) -> None:
        """Stop; the port is free afterwards."""
        self._server.shutdown()
        self._server.server_close()


def _logprobs(tokens: Sequence[int]) -> dict[str, list[Any]]:
    """Return the log-probabilities of tokens as vLLM gives them; the first token has none."""
    scores = [token_score(tokens[: end + 1]) for end in range(1, len(tokens))]
    top = [{"own": logprob, "other": logprob - 0.5 if greedy else logprob + 0.05} for logprob, greedy in scores]
    return {"token_logprobs": [None, *(logprob for logprob, _ in scores)], "top_logprobs": [None, *top]}


def token_score(tokens: Sequence[int]) -> tuple[float, bool]:
    """Return the log-probability of the last of these tokens, and whether it is the most likely one."""
    number = sum((place + 1) * (token + 1) for place, token in enumerate(tokens))
    return -0.1 - number % 97 / 10, number % 4 > 0

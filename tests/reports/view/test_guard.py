"""Who may read the viewer: this machine, by its name, with the token. Nobody may write."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from harness.reports.view.guard import HEADERS
from harness.reports.view.pages import Pages
from tests.reports.view.records import viewer


@pytest.fixture(scope="module")
def address(pages: Pages) -> Iterator[str]:
    with viewer(pages) as address:
        yield address


class Client:
    """Sends single requests, as any program could."""

    def __init__(self, address: str) -> None:
        self.parts = urlsplit(address)
        self.token = parse_qs(self.parts.query)["token"][0]
        self.cookie = f"harness_view_{self.parts.port}={self.token}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(str(self.parts.hostname), self.parts.port, timeout=60)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


@pytest.fixture
def client(address: str) -> Client:
    return Client(address)


def test_it_listens_on_this_machine_only(client: Client) -> None:
    assert client.parts.hostname == "127.0.0.1"
    assert len(client.token) >= 32


@pytest.mark.parametrize("path", ["/", "/items", "/item", "/compare", "/export?format=csv", "/nowhere", "/static"])
def test_without_the_token_nothing_is_shown(client: Client, path: str) -> None:
    for cookie in ("", "harness_view_1=x", f"harness_view_{client.parts.port}=wrong", "token=\xe9"):
        status, _, body = client.ask(path, Cookie=cookie)
        assert (status, "The viewer needs its token" in body) == (403, True)
        assert "base" not in body, "no name of a model or task"
    status, _, body = client.ask(f"{path}{'&' if '?' in path else '?'}token={client.token}x")
    assert (status, "This token is wrong, or from an earlier start" in body) == (403, True)
    assert client.token not in body


def test_the_page_that_asks_for_the_token_leads_to_the_address_that_was_asked(client: Client) -> None:
    _, _, body = client.ask("/items?model=a%22b&words=x+y")
    assert 'action="/items"' in body
    assert '<input type="hidden" name="model" value="a&#34;b">' in body
    assert '<input type="hidden" name="words" value="x y">' in body
    for path in ("//example.org/", "/\\example.org/", "/%5Cexample.org"):
        _, _, body = client.ask(path)
        assert 'action="//' not in body
        assert 'action="/\\' not in body, "a browser would take it for another host"


def test_the_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read(client: Client) -> None:
    status, headers, _ = client.ask(f"/items?model=base&token={client.token}&words=a+b")
    assert status == 303
    assert headers["location"] == "/items?model=base&words=a+b"
    assert "HttpOnly" in headers["set-cookie"]
    assert "samesite=lax" in headers["set-cookie"].lower()
    assert client.ask("/items", Cookie=client.cookie)[0] == 200


def test_a_redirection_stays_here(client: Client) -> None:
    assert client.ask(f"//example.org/?token={client.token}")[1]["location"] == "/example.org/"


@pytest.mark.parametrize(
    "host",
    [
        "example.org", "127.0.0.1.example.org", "localhost.example.org:80", "", "[::1", "10.0.0.1", "[::1]:80", "::1",
        "0.0.0.0",  # noqa: S104 - nothing binds to it
        "127.0.0.2:80", "127.0.0.1@example.org", "example.org:127.0.0.1", "localhost.", ":80", "<b>x</b>",
    ],
)  # fmt: skip
def test_another_host_is_refused_even_with_the_token(client: Client, host: str) -> None:
    for path, cookie in (("/", client.cookie), (f"/?token={client.token}", "")):
        status, headers, body = client.ask(path, Host=host, Cookie=cookie)
        assert status == 400
        assert "set-cookie" not in headers
        assert headers["content-type"].startswith("text/plain")
        assert "127.0.0.1 or localhost" in body
        assert all(headers[name.lower()] == value for name, value in HEADERS.items())


def test_a_forwarded_port_of_this_machine_works(client: Client) -> None:
    assert client.ask("/", Host="localhost:9999", Cookie=client.cookie)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/items", "/export"])
def test_nothing_is_written(client: Client, method: str, path: str) -> None:
    assert client.ask(path, method, Cookie=client.cookie)[0] == 405


def test_every_answer_has_the_policy(client: Client) -> None:
    for path in ("/", "/items", "/nowhere", "/static/view.css", "/export?format=jsonl", f"/?token={client.token}"):
        for cookie in (client.cookie, ""):
            _, headers, _ = client.ask(path, Cookie=cookie)
            for name, value in HEADERS.items():
                assert headers[name.lower()] == value
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere", "/static/", "/static/..%2Fpages.py", "/static/pages.py", "/item", "/item?task=words&id=zz",
        "/item?task=words&id=%25%25%25%25%25%25%25%25%25", "/item?task=no&id=00000000", "/items?model=nobody",
        "/items?page=-1", "/export?format=exe", "/compare?model=nobody",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_a_page_that_says_so(client: Client, path: str) -> None:
    status, _, body = client.ask(path, Cookie=client.cookie)
    assert status == 404
    assert "Traceback" not in body
    assert '<p class="lead">' in body


@pytest.mark.parametrize(
    "words",
    [
        '"', '""', "a AND", "AND OR NOT", "NEAR(a b)", "NEAR(", "*", "^a", "body:a", "\0", "a\0b", "((", "a' OR 1=1 --",
        'a"b"c"', "🙂", "_", "a" * 50_000, "x " * 10_000, "逻" * 500, "{a} + -b", "\ufffd",
    ],
)  # fmt: skip
def test_no_words_are_an_error(client: Client, words: str) -> None:
    for place in ("/items", "/export"):
        status, _, body = client.ask(f"{place}?words={quote(words)}", Cookie=client.cookie)
        assert status == 200
        assert "Traceback" not in body


def test_an_address_without_end_is_no_fault_of_the_viewer(client: Client) -> None:
    """uvicorn's parsers differ: h11 refuses it, httptools takes it."""
    assert client.ask("/items?words=" + "a" * 200_000, Cookie=client.cookie)[0] < 500
    assert client.ask("/items", Cookie=client.cookie)[0] == 200
    assert client.ask("/items", "HEAD", Cookie=client.cookie)[2] == ""

"""Task data: lookup order, pinned digests and counts, all-or-nothing fetching, errors that name file and line."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.data import fetching
from harness.data import reading as data
from harness.data.manifest import MismatchError, all_files
from harness.data.store import missing
from harness.errors import InputError, TaskError

ROWS = [{"question": f"What is {n}?", "answer": n} for n in range(5)]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)
FIELDS = {"question": str, "answer": int}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`data/` is the data folder, `cache/` the cache, `task/` the task folder."""
    for name in ("data", "cache", "task"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    fetching.forget_unreachable()
    return tmp_path


def pin(places: Path, **changes: object) -> dict[str, object]:
    entry = {"path": "set/rows.jsonl", "format": "jsonl", "records": 5, "licence": "own"}
    entry |= {"sha256": [hashlib.sha256(TEXT.encode()).hexdigest()], **changes}
    entry = {key: value for key, value in entry.items() if value is not None}
    (places / "task" / "data.yaml").write_text(yaml.safe_dump({"files": {"rows": entry}}))
    return entry


def put(folder: Path, text: str = TEXT, name: str = "set/rows.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        served: dict[str, tuple[bytes, int]] = self.server.served  # type: ignore[attr-defined]
        if self.path not in served:
            self.send_error(404)
            return
        body, promised = served[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def site() -> Iterator[str]:
    """A web server of our own: the rows, the rows cut short, other rows."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    body = TEXT.encode()
    server.served = {"/rows": (body, len(body)), "/cut": (body[:50], len(body)), "/other": (b"{}\n", 3)}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def read(places: Path) -> list[data.DataRecord]:
    return data.read("rows", places / "task", fields=FIELDS)


def test_the_data_folder_comes_before_the_cache(places: Path) -> None:
    pin(places)
    cached = put(places / "cache" / "data")
    assert data.locate("rows", places / "task") == cached
    own = put(places / "data")
    assert data.locate("rows", places / "task") == own
    assert read(places) == ROWS


def test_without_a_data_folder_files_come_from_the_cache(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(places)
    put(places / "cache" / "data")
    monkeypatch.delenv("HARNESS_DATA")
    assert read(places) == ROWS


def test_a_data_folder_that_does_not_exist_is_an_error(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(places)
    monkeypatch.setenv("HARNESS_DATA", str(places / "nowhere"))
    with pytest.raises(InputError, match="no such folder"):
        read(places)


def test_a_file_in_neither_folder_is_fetched_on_first_use(places: Path, site: str) -> None:
    pin(places, url=f"{site}/rows")
    assert read(places) == ROWS
    assert [p.name for p in (places / "cache" / "data" / "set").iterdir()] == ["rows.jsonl"]


def test_a_file_address_is_fetched_too(places: Path) -> None:
    source = put(places / "elsewhere")
    pin(places, url=source.as_uri())
    assert read(places) == ROWS


def archive(folder: Path, text: str = TEXT) -> Path:
    source, packed = put(folder, text), folder / "set-1.0.tar.gz"
    with tarfile.open(packed, "w:gz") as opened:
        opened.add(source, arcname="set-1.0/rows.jsonl")
    return packed


def test_a_file_inside_an_archive_is_fetched_and_the_archive_once(places: Path) -> None:
    packed = archive(places / "elsewhere")
    pin(places, url=packed.as_uri(), member="set-1.0/rows.jsonl")
    assert read(places) == ROWS
    (places / "cache" / "data" / "set" / "rows.jsonl").unlink()
    packed.unlink()
    assert read(places) == ROWS, "the archive is kept"


@pytest.mark.parametrize(
    ("member", "text", "expected"),
    [("set-1.0/other", TEXT, "cannot be extracted"), ("set-1.0/rows.jsonl", TEXT[:-9], "has sha256")],
)
def test_an_archive_without_the_pinned_file_leaves_nothing(places: Path, member: str, text: str, expected: str) -> None:
    pin(places, url=archive(places / "elsewhere", text).as_uri(), member=member)
    with pytest.raises(TaskError, match=expected):
        read(places)
    assert not list((places / "cache" / "data" / "set").iterdir())


def test_a_truncated_archive_is_reported_and_removed(places: Path) -> None:
    packed = archive(places / "elsewhere")
    whole = packed.read_bytes()
    packed.write_bytes(whole[: len(whole) // 2])
    pin(places, url=packed.as_uri(), member="set-1.0/rows.jsonl")
    with pytest.raises(TaskError, match="cannot be extracted"):
        read(places)
    packed.write_bytes(whole)
    assert read(places) == ROWS


def test_the_hub_is_queried_at_the_pinned_revision(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub cache that holds only another revision does not serve; the pinned one does, without a network."""
    import huggingface_hub.constants as constants

    revision = "0123456789" * 4
    snapshots = places / "hub" / "datasets--own--rows" / "snapshots"
    put(snapshots / ("f" * 40), "{}\n", "rows.jsonl")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(places / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    pin(places, hub={"repo": "own/rows", "revision": revision, "file": "rows.jsonl"})
    with pytest.raises(TaskError, match=r"hub\.invalid cannot be reached \(.*\); run `harness tasks fetch rows "):
        read(places)
    put(snapshots / revision, TEXT, "rows.jsonl")
    assert read(places) == ROWS


def test_missing_data_names_the_command_and_the_place(places: Path) -> None:
    pin(places, url="http://host.invalid/rows")
    with pytest.raises(TaskError, match=r"harness tasks fetch rows.*set/rows\.jsonl into HARNESS_DATA") as caught:
        read(places)
    assert caught.value.exit_code == 2


def test_data_without_a_known_address_asks_for_the_file(places: Path) -> None:
    pin(places)
    with pytest.raises(TaskError, match=r"put set/rows\.jsonl into a folder and give it as --data_dir"):
        read(places)


@pytest.mark.parametrize("path", ["/cut", "/other", "/absent"])
def test_a_fetch_that_does_not_give_the_pinned_bytes_leaves_nothing(places: Path, site: str, path: str) -> None:
    pin(places, url=f"{site}{path}")
    with pytest.raises(TaskError, match="rows"):
        fetching.fetch(["rows"], folders=[places / "task"])
    assert [p for p in (places / "cache" / "data").rglob("*") if p.is_file()] == []


def test_fetch_reports_progress_and_does_not_fetch_twice(places: Path, site: str) -> None:
    pin(places, url=f"{site}/rows")
    calls: list[tuple[str, int, int | None]] = []
    paths = fetching.fetch(["rows"], lambda *call: calls.append(call), folders=[places / "task"])
    assert calls[-1] == ("rows", len(TEXT), len(TEXT))
    before = paths["rows"].stat().st_mtime_ns
    calls.clear()
    assert fetching.fetch(["rows"], lambda *call: calls.append(call), folders=[places / "task"]) == paths
    assert calls == []
    assert paths["rows"].stat().st_mtime_ns == before


def test_the_error_of_an_unknown_name_suggests_similar_ones(places: Path) -> None:
    pin(places)
    with pytest.raises(TaskError, match="Did you mean rows"):
        fetching.fetch(["row"], folders=[places / "task"])


def test_the_error_of_a_different_digest_names_the_first_invalid_record(places: Path) -> None:
    pin(places)
    broken = TEXT.replace('"answer": 2', '"anser": 2')
    path = put(places / "data", broken)
    with pytest.raises(TaskError) as caught:
        read(places)
    message = str(caught.value)
    assert str(path) in message
    assert "is not the one pinned" in message
    assert "line 3: field 'answer' is missing" in message


def test_any_of_several_pinned_digests_is_accepted(places: Path) -> None:
    pin(places, sha256=["0" * 64, hashlib.sha256(TEXT.encode()).hexdigest()])
    put(places / "data")
    assert read(places) == ROWS


def test_without_a_pinned_digest_later_copies_must_equal_the_first(places: Path, site: str) -> None:
    pin(places, sha256=None, url=f"{site}/rows")
    assert read(places) == ROWS
    put(places / "cache" / "data", TEXT.replace("What is 2", "What was 2"))
    with pytest.raises(TaskError, match="is not the one pinned"):
        read(places)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"question": "What is 1?"}', "line 2: field 'answer' is missing"),
        ('{"question": "What is 1?", "answer": "one"}', "line 2: field 'answer' is a str, must be int"),
        ('{"question": "What is 1?", ', "line 2: not JSON"),
        ("[1, 2]", "line 2: a list, must be an object"),
        (f'{{"answer": {"9" * 5000}}}', "line 2: JSON that cannot be read (Exceeds the limit"),
        ("[" * 100_000, "line 2: JSON that cannot be read (maximum recursion"),
    ],
)
def test_the_error_of_a_malformed_line_names_file_line_and_field(places: Path, line: str, expected: str) -> None:
    pin(places, sha256=None)
    lines = TEXT.splitlines()
    path = put(places / "data", "\n".join([lines[0], line, *lines[2:]]) + "\n")
    with pytest.raises(TaskError, match="line 2") as caught:
        read(places)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)


def test_the_fetch_command_includes_the_users_include_path(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pin(places, url="https://example.org/rows.jsonl")
    with pytest.raises(TaskError, match=f"`harness tasks fetch rows --include_path {places / 'task'}`"):
        read(places)


def test_a_missing_file_is_read_from_the_larger_file_it_is_a_prefix_of(places: Path) -> None:
    pin(places)
    manifest = places / "task" / "data.yaml"
    whole = yaml.safe_load(manifest.read_text())["files"]["rows"]
    part = {"path": "set/first.jsonl", "format": "jsonl", "records": 2, "licence": "own", "first_of": "rows"}
    manifest.write_text(yaml.safe_dump({"files": {"rows": whole, "first": part}}))
    assert missing(["first"], places / "task") == ["first"]
    put(places / "data")
    assert missing(["first"], places / "task") == []
    assert data.read("first", places / "task", fields=FIELDS) == ROWS[:2]
    assert fetching.fetch(["first"], folders=[places / "task"]) == {"rows": places / "data" / "set/rows.jsonl"}
    put(places / "data", "".join(TEXT.splitlines(keepends=True)[1:3]), "set/first.jsonl")
    assert data.read("first", places / "task", fields=FIELDS) == ROWS[1:3], "the file itself comes first"


def test_a_different_number_of_records_is_an_error(places: Path) -> None:
    pin(places, sha256=None)
    put(places / "data", "".join(TEXT.splitlines(keepends=True)[:4]))
    with pytest.raises(TaskError, match="4 records, 5 are pinned"):
        read(places)


def test_compressed_lines_and_json_objects_are_read(places: Path) -> None:
    packed = gzip.compress(TEXT.encode())
    (places / "data" / "rows.jsonl.gz").write_bytes(packed)
    pin(places, path="rows.jsonl.gz", sha256=[hashlib.sha256(packed).hexdigest()])
    assert read(places) == ROWS
    put(places / "data", json.dumps({"about": "", "examples": ROWS}), "rows.json")
    pin(places, path="rows.json", format="json", records_at="examples", sha256=None)
    assert read(places) == ROWS


def test_a_truncated_archive_is_an_error(places: Path) -> None:
    (places / "data" / "rows.jsonl.gz").write_bytes(gzip.compress(TEXT.encode())[:-20])
    pin(places, path="rows.jsonl.gz", sha256=None)
    with pytest.raises(TaskError, match="cannot be read completely"):
        read(places)


@pytest.mark.parametrize(
    ("name", "form", "content", "expected"),
    [
        ("rows.jsonl", "jsonl", TEXT.encode() + b'{"question": "\xff\xfe"}\n', "cannot be read completely"),
        ("rows.json", "json", b'["\xff"]', "cannot be read completely"),
        ("rows.parquet", "parquet", b"PAR1 and nothing else", "not a valid Parquet file"),
        ("rows.parquet", "parquet", b"", "not a valid Parquet file"),
    ],
)
def test_the_error_of_a_corrupt_file_names_it(
    places: Path, name: str, form: str, content: bytes, expected: str
) -> None:
    path = places / "data" / name
    path.write_bytes(content)
    pin(places, path=name, format=form, sha256=None)
    with pytest.raises(TaskError, match=expected) as caught:
        read(places)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sha": "x"}, "sha"),
        ({"records": 0}, "records"),
        ({"path": "../rows.jsonl"}, "stay inside"),
        ({"hub": {"repo": "own/rows", "revision": "main", "file": "rows"}}, "revision"),
    ],
)
def test_a_wrong_manifest_field_is_named(places: Path, changes: dict[str, object], expected: str) -> None:
    pin(places, **changes)
    with pytest.raises(TaskError, match=expected):
        read(places)


def test_an_unavailable_file_does_not_stop_the_others_from_being_fetched(places: Path) -> None:
    entry = pin(places, url=put(places / "elsewhere").as_uri())
    absent = {**entry, "path": "set/absent.jsonl", "url": (places / "nowhere").as_uri()}
    gone = {**entry, "path": "set/gone.jsonl", "url": None}
    gone.pop("url")
    files = {"absent": absent, "rows": entry, "gone": gone}
    (places / "task" / "data.yaml").write_text(yaml.safe_dump({"files": files}))
    with pytest.raises(TaskError, match=r"2 of 3 files are unavailable: data file absent.* data file gone"):
        fetching.fetch(["absent", "rows", "gone"], folders=[places / "task"])
    assert (places / "cache" / "data" / "set" / "rows.jsonl").is_file()


def test_records_are_counted_if_no_digest_is_pinned(places: Path) -> None:
    pin(places, sha256=[], records=6, url=put(places / "elsewhere").as_uri())
    with pytest.raises(MismatchError, match="5 records, 6 are pinned"):
        fetching.fetch(["rows"], folders=[places / "task"])


def test_the_error_of_a_record_that_cannot_be_converted_names_the_line(places: Path) -> None:
    pin(places, url=put(places / "elsewhere").as_uri())

    def make(row: data.DataRecord) -> str:
        return str(row["question" if row["answer"] < 3 else "absent"])

    with pytest.raises(TaskError, match=r"rows.jsonl, line 4: cannot be converted to an item \(KeyError: 'absent'\)"):
        data.read_items("rows", places / "task", make, fields=FIELDS)


def test_every_file_of_the_project_is_pinned_or_says_why_not() -> None:
    for name, file in all_files().items():
        assert file.sha256 or file.hub, f"{name}: neither a digest nor a full hub revision"
        assert file.url is None or "/main/" not in file.url
        assert file.licence


def test_every_file_in_the_data_folder_is_the_pinned_one(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    from harness.paths import tasks_dir

    files = all_files()
    here = [name for name, file in files.items() if (data_dir / file.path).is_file()]
    assert len(here) >= 30
    for name in here:
        assert len(data.read(name, tasks_dir())) == files[name].records

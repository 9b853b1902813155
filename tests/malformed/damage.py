"""Ways to damage a file, by extension. Each changes the file in place, with a seeded random generator.

`BROKEN` makes files that no reader can accept. `CHANGED` changes one part of a file: a reader may accept the result, or
must say what is wrong.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

Damage = Callable[[Path, random.Random], None]
Keys = tuple[str | int, ...]

DEEP = 20_000
# JSON text that is inserted afterwards: deep nesting, a number of 400 digits, NaN.
RAW = {"<deep>": "[" * DEEP + "]" * DEEP, "<digits>": "9" * 400, "<more digits>": "9" * 5000, "<nan>": "NaN"}
VALUES: list[Any] = [
    *(None, True, 3, -1, 0, 0.5, 1e308, 10**9, 10**18, 2**63, "x", "\ud800", "\u202e", "\x1b[2J", "", [], {}, [1]),
    *({"a": 1}, [None], {"x": {"y": [{}]}}, "a/b", "../..", "x" * 300, "\n", *RAW),
]
ODD_TEXTS = [
    *("", "\x00", "null", "[]", "7", '"x"', "1e999", "{" * 5000, "[" * 100_000, '{"a":' * 50_000, "\ufeff{", '{"a": '),
    *("NaN", '"\\ud800"', "\u202e{}", "[1, 2", "<!DOCTYPE html><p>Not found", "version https://git-lfs.github.com/"),
]


def cut(path: Path, rng: random.Random) -> None:
    """Cut the file short, as an interrupted copy does."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) - 2)])


def junk(path: Path, rng: random.Random) -> None:
    """Bytes of another kind of file."""
    path.write_bytes(b"\xff\xfe" + rng.randbytes(rng.randint(0, 2000)))


def odd_text(path: Path, rng: random.Random) -> None:
    path.write_text(rng.choice(ODD_TEXTS), encoding="utf-8")


def flip(path: Path, rng: random.Random) -> None:
    """A few bytes changed anywhere."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 16)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(bytes(content))


def places(value: Any, above: Keys = ()) -> Iterator[Keys]:
    """Yield the keys to every field; of a list, to those of its first entry."""
    yield above
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*above, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*above, 0))


def changed(value: Any, keys: Keys, new: Any) -> Any:
    """Return a copy of `value` in which the field at `keys` is `new`."""
    if not keys:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = new
    return copy


def json_field(path: Path, rng: random.Random) -> None:
    """One field of a JSON file, or of one line of a JSONL file, gets another type or an absurd value."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
    number = rng.randrange(len(lines))
    content = json.loads(lines[number])
    ends = [line.encode() for line in lines]
    ends[number] = _dumped(changed(content, rng.choice(list(places(content))), rng.choice(VALUES)))
    path.write_bytes(b"\n".join(ends) + b"\n")


def _dumped(value: Any) -> bytes:
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text.encode("utf-8", "surrogatepass")


def yaml_field(path: Path, rng: random.Random) -> None:
    """Do the same to a YAML file, written as JSON, which is valid YAML; no lone surrogates: no file can hold them."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    value = rng.choice([value for value in VALUES if value != "\ud800"])
    path.write_bytes(_dumped(changed(content, rng.choice(list(places(content))), value)))


def gzip_inside(path: Path, rng: random.Random) -> None:
    """A complete gzip archive of something other than JSON lines."""
    path.write_bytes(gzip.compress(rng.choice(ODD_TEXTS[5:]).encode()))


def tensor_offsets(path: Path, rng: random.Random) -> None:
    """One tensor of a safetensors file lies at an impossible place, or has an impossible shape or type."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    tensor = header[rng.choice([key for key in header if key != "__metadata__"])]
    tensor["data_offsets"] = rng.choice([[0], "x", None, [0, 10**30], [0, -1], {}, [0, "9"]])
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def huge_header(path: Path, rng: random.Random) -> None:
    """A safetensors file says that its header is larger than the file."""
    content = path.read_bytes()
    path.write_bytes(rng.randint(len(content), 2**63).to_bytes(8, "little") + content[8:])


def gguf_counts(path: Path, rng: random.Random) -> None:
    """A GGUF file claims an absurd version, number of tensors or number of keys: after the magic, 4, 8 and 8 bytes."""
    content = bytearray(path.read_bytes())
    at, width = rng.choice([(4, 4), (8, 8), (16, 8)])
    number = rng.choice([0, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]) % 2 ** (8 * width)
    content[at : at + width] = number.to_bytes(width, "little")
    path.write_bytes(bytes(content))


def gguf_lengths(path: Path, rng: random.Random) -> None:
    """A GGUF file claims an absurd length of a key, of a list, or of a tensor's name or shape."""
    content = bytearray(path.read_bytes())
    words = [b"llama.block_count", b"general.architecture", b"tokenizer.ggml.merges", b"token_embd.weight"]
    at = content.index(rng.choice(words))
    absurd = rng.choice([2**31, 2**40, 2**63, 2**64 - 1]).to_bytes(8, "little")
    end = content.index(b"\0", at) if rng.random() < 0.5 else at - 8
    content[end : end + 8] = absurd
    path.write_bytes(bytes(content))


_TEXT: list[Damage] = [cut, junk, odd_text]
BROKEN: dict[str, list[Damage]] = {
    ".json": _TEXT,
    ".jsonl": [junk],
    ".yaml": [junk],
    ".gz": [cut, junk, gzip_inside],
    ".parquet": [cut, junk, odd_text],
    ".safetensors": [cut, junk, tensor_offsets, huge_header],
    ".gguf": [cut, junk, gguf_counts, gguf_lengths],
    ".sqlite": [],
    ".txt": [junk],
    ".pt": [cut, junk],
    ".pth": [cut, junk],
}
CHANGED: dict[str, list[Damage]] = {
    ".json": [json_field, json_field, json_field],
    ".jsonl": [json_field, json_field, cut, odd_text],
    ".yaml": [yaml_field, yaml_field, cut, odd_text],
    ".gz": [flip],
    ".parquet": [flip],
    ".safetensors": [flip],
    ".gguf": [flip],
    ".sqlite": [cut, junk, flip, odd_text],
    ".txt": [flip, odd_text],
    ".pt": [],
    ".pth": [],
}

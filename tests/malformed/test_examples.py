"""Malformed inputs of chosen kinds: each gives one line that names the file, exit code 2 and no traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import HarnessCommand
from tests.models import save_tiny_adapter, save_tiny_llama
from tests.tasks_for_tests import write_tasks

SEEDS = range(10)

ODD_TEXTS = [
    "",
    "\x00",
    "null",
    "[]",
    "1e999",
    "{" * 5000,
    "\ufeff{",
    '{"a": ',
    "NaN",
    '"\\ud800"',
    "\u202e{}",
    "[1, 2",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_adapter(tmp_path_factory.mktemp("adapter") / "adapter", base)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=8)


def cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) - 1)])


def grow(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 99)))


def huge_header(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(rng.randint(len(content), 2**63).to_bytes(8, "little") + content[8:])


def break_header(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[:8], "little")
    position = 8 + rng.randrange(length)
    content[position : position + 4] = b"\x00\xff{{"
    path.write_bytes(bytes(content))


def odd_offsets(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = rng.choice([key for key in header if key != "__metadata__"])
    header[name]["data_offsets"] = rng.choice([[0], "x", None, [0, 10**30], [0, -1], {}, [0, "9"]])
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def odd_text(path: Path, rng: random.Random) -> None:
    path.write_text(rng.choice(ODD_TEXTS), encoding="utf-8")


def not_unicode(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"\xff\xfe" + rng.randbytes(20))


def odd_base(path: Path, rng: random.Random) -> None:
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = rng.choice(
        [None, "", 7, [], {}, "no/such/folder/at/all", "../../..", "\x00", "a" * 5000]
    )
    path.write_text(json.dumps(config))


def _check(code: int, out: str, err: str, name: str) -> None:
    assert code == 2, (code, out[-500:], err[-500:])
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    assert name in err
    assert not out


WEIGHTS = [cut, grow, huge_header, break_header, odd_offsets]


@pytest.mark.parametrize("damage", WEIGHTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_weights(
    damage: Callable[[Path, random.Random], None],
    seed: int,
    base: Path,
    tasks: Path,
    tmp_path: Path,
    harness_here: HarnessCommand,
) -> None:
    model = Path(shutil.copytree(base, tmp_path / "model"))
    damage(model / "model.safetensors", random.Random(seed))
    done = harness_here(
        "eval", "--model", model, "--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path / "o"
    )
    _check(done.returncode, done.stdout, done.stderr, "model.safetensors")


@pytest.mark.parametrize("file", ["config.json", "adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("damage", [odd_text, not_unicode, cut])
@pytest.mark.parametrize("seed", SEEDS)
def test_configs_and_adapters(
    file: str,
    damage: Callable[[Path, random.Random], None],
    seed: int,
    base: Path,
    adapter: Path,
    tasks: Path,
    tmp_path: Path,
    harness_here: HarnessCommand,
) -> None:
    folder = Path(shutil.copytree(base if file == "config.json" else adapter, tmp_path / "model"))
    damage(folder / file, random.Random(seed))
    done = harness_here(
        "eval", "--model", folder, "--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path / "o"
    )
    _check(done.returncode, done.stdout, done.stderr, file)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_adapters_base(seed: int, adapter: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    odd_base(folder / "adapter_config.json", random.Random(seed))
    done = harness_here(
        "eval", "--model", folder, "--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path / "o"
    )
    _check(done.returncode, done.stdout, done.stderr, "adapter_config.json")


BROKEN_YAML = [
    "task: x\n  bad: [",
    "task: [1, 2\n",
    "\t- x",
    "task: 'unclosed",
    "- a\n- b\n",
    "just a word",
    "7",
    "",
    "null",
    "task: x\ntask_alias: !unknown y\n",
    "&a [*a]",
    "task: !!python/object/apply:os.system [true]",
    "include: missing.yaml\ntask: x",
    "include: broken.yaml\ntask: x",
    "group: g",
    "group: g\ntask: []",
    "task: x",
    "task: x\ndataset_path: json",
    "task: x\ndataset_path: json\ntest_split: t",
    "task: x\ndataset_path: json\ntest_split: t\ndoc_to_text: q",
    "doc_to_text: q",
    "task: t_choice\ndataset_path: json\ntest_split: t\ndoc_to_text: q\ndoc_to_target: a\noutput_type: guess",
    "task: 1e999\n",
    "a: " + "[" * 3000,
    "\x00",
    "task: \ud83d",
    "? [a]\n: b\n- c",
    "%YAML 9.9\n---\ntask: x",
    "task: 2024-99-99",
    "task: x\nmetadata: 3\n",
]


@pytest.mark.parametrize("number", range(len(BROKEN_YAML)))
def test_task_files(number: int, base: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "broken.yaml").write_text(BROKEN_YAML[number].encode("utf-8", "replace").decode(), encoding="utf-8")
    done = harness_here(
        "eval", "--model", base, "--tasks", "t_choice", "--include_path", folder, "--output_path", tmp_path / "o"
    )
    _check(done.returncode, done.stdout, done.stderr, "broken.yaml")


BROKEN_ROWS = [
    b'{"prompt": "a"\n',
    b"\xff\xfe\x00",
    b"[1, 2, 3]\n",
    b"",
    b"null\n",
    b'{"prompt": 1, "choices": ["a"], "answer": 0}\n{\n',
    b'{"prompt": "q", "choices": ["a"], "answer": 0}\n{"prompt": "q",\n',
    b'{"prompt": "q", "choices": [], "answer": 0}\n',
    b'"prompt"\n',
    b'{"prompt": null, "choices": null, "answer": null}\n',
    b"word\n" * 3,
]


@pytest.mark.parametrize("number", range(len(BROKEN_ROWS)))
def test_task_data(number: int, base: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=2)
    (folder / "items.jsonl").write_bytes(BROKEN_ROWS[number])
    done = harness_here(
        "eval", "--model", base, "--tasks", "t_choice", "--include_path", folder, "--output_path", tmp_path / "o"
    )
    # The task reports rows that parse but that it cannot use; the reader reports the others.
    _check(done.returncode, done.stdout, done.stderr, "choice")


ODD_FIELDS: list[tuple[str, object]] = [
    ("hidden_size", 10**400),
    ("hidden_size", -64),
    ("hidden_size", "wide"),
    ("num_attention_heads", 0),
    ("vocab_size", 10**15),
    ("vocab_size", []),
    ("max_position_embeddings", "many"),
    ("intermediate_size", None),
    ("model_type", 7),
    ("model_type", "no-such-architecture"),
    ("dtype", "floaty"),
    ("rms_norm_eps", "x"),
]


@pytest.mark.parametrize("number", range(len(ODD_FIELDS)))
def test_config_fields(number: int, base: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    model = Path(shutil.copytree(base, tmp_path / "model"))
    name, value = ODD_FIELDS[number]
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, name: value}))
    done = harness_here(
        "eval", "--model", model, "--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path / "o"
    )
    _check(done.returncode, done.stdout, done.stderr, str(model))


RECORDS = ["", "{", "[]", "null", "7", '{"tasks": 3}', '{"schema_version": 1e999}', "\x00", "NaN", "{" * 5000]


@pytest.mark.parametrize("command", ["rescore", "leaderboard"])
@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_run_records(number: int, command: str, tasks: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    words = ["eval", "--backend", "scripted", "--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path]
    assert harness_here(*words, "--model", "oracle").returncode == 0
    record = next((tmp_path / "oracle").glob("run_*.json"))
    record.write_text(RECORDS[number])
    done = harness_here(command, tmp_path / "oracle")
    _check(done.returncode, done.stdout, done.stderr, "run")

"""The mixture: shares of tokens, a fixed order, exact positions, bounded memory."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.trainers.data.consumed import record_digest
from harness.trainers.data.epochs import budget_of_epochs
from harness.trainers.data.examples import IGNORED, EncodedRecord, TrainingExample
from harness.trainers.data.formats import TrainingRecord
from harness.trainers.data.mixture import Mixture
from harness.trainers.data.opening import open_source
from harness.trainers.data.readers import Cursor, RawRecord
from harness.trainers.data.schedules import PRESETS, Schedule
from harness.trainers.data.sources import Source, SourcePosition
from harness.trainers.data.spec import DataSpec, MixtureSpec, SourceSpec
from harness.trainers.stage.spec import StageSpec, parse

TEXT_ID, CODE_ID = 1000, 2000


def encode(record: TrainingRecord, _where: str) -> EncodedRecord:
    """One token per word; the word is its own id, so that a token identifies its record."""
    ids = [int(word) for word in record["text"].split()]
    return EncodedRecord(columns={"input_ids": ids, "labels": ids}, tokens=len(ids))


def write_source(folder: Path, name: str, lengths: list[int], base: int) -> Path:
    """A JSONL source whose record `i` repeats the word ``base + i``."""
    path = folder / f"{name}.jsonl"
    lines = [json.dumps({"text": " ".join([str(base + i)] * length)}) for i, length in enumerate(lengths)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def open_jsonl(path: Path, *, seed: int | None = 0, **more: Any) -> Source:
    spec = SourceSpec(path=str(path), format="text", **more)
    return open_source(path.stem, spec, stage="pretrain", rationale="omit", seed=seed)


def counting(source: Source) -> tuple[Source, list[Cursor]]:
    """The source with a reader that records the cursors it was opened at."""
    opened: list[Cursor] = []

    class CountingReader:
        files = source.reader.files

        def read(self, cursor: Cursor) -> Iterator[RawRecord]:
            opened.append(cursor)
            return source.reader.read(cursor)

    return replace(source, reader=CountingReader()), opened


def mixed(schedule: Schedule, sources: list[Source], budget: int, **more: Any) -> Mixture:
    return Mixture(schedule=schedule, sources=tuple(sources), encode=encode, budget_tokens=budget, **more)


def stepwise(names: tuple[str, ...], *phases: tuple[float, ...]) -> Schedule:
    return Schedule(
        kind="stepwise", sources=names, weights=tuple(tuple(w / sum(phase) for w in phase) for phase in phases)
    )


TWO = (("short", "long"), ((7, 3), (7, 3), (6, 4), (5, 5)))
FIVE = (("a", "b", "c", "d", "e"), ((5, 4, 3, 2, 1), (1, 0, 1, 0, 8), (1, 1, 1, 1, 1)))


@pytest.mark.parametrize("packed_length", [256, None], ids=["packed", "whole"])
@pytest.mark.parametrize(("names", "phases"), [TWO, FIVE], ids=["two sources", "five sources"])
def test_each_phase_matches_the_target_shares_of_tokens_within_half_a_percent(
    tmp_path: Path, names: tuple[str, ...], phases: tuple[tuple[float, ...], ...], packed_length: int | None
) -> None:
    rng = random.Random(1)
    longest = [8, 400, 40, 200, 15]
    sources = []
    for index, name in enumerate(names):
        lengths = [rng.randint(1, longest[index]) for _ in range(300)]
        sources.append(open_jsonl(write_source(tmp_path, name, lengths, 1000 * (index + 1))))
    mixture = mixed(stepwise(names, *phases), sources, 90_000 * len(phases), packed_length=packed_length)
    stream = mixture.stream()
    for _ in stream:
        pass
    for phase, row in enumerate(stream.ledger.tokens):
        for tokens, weight in zip(row, phases[phase], strict=True):
            assert tokens / sum(row) == pytest.approx(weight / sum(phases[phase]), abs=0.005)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_changing_schedule_matches_the_target_share_in_every_tenth_of_the_budget(tmp_path: Path, kind: Any) -> None:
    sources = [
        open_jsonl(write_source(tmp_path, "text", [3, 50, 7] * 50, 1000)),
        open_jsonl(write_source(tmp_path, "code", [200, 1] * 50, 2000)),
    ]
    schedule = Schedule(kind=kind, sources=("text", "code"), weights=((0.9, 0.1), (0.2, 0.8)))
    stream = mixed(schedule, sources, 600_000).stream()
    for _ in stream:
        pass
    for row, target in zip(stream.ledger.tokens, stream.mixture.target_shares(), strict=True):
        assert row[1] / sum(row) == pytest.approx(target[1], abs=0.005)
    shares = [target[1] for target in stream.mixture.target_shares()]
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert shares[-1] > 0.75


@given(
    kind=st.sampled_from(["linear", "cosine"]),
    first=st.floats(0, 1),
    last=st.floats(0, 1),
    begin=st.floats(0, 0.9),
    length=st.floats(0.01, 0.1),
)
def test_target_shares_are_between_the_two_weightings_and_sum_to_one(
    kind: Any, first: float, last: float, begin: float, length: float
) -> None:
    schedule = Schedule(kind=kind, sources=("a", "b"), weights=((first, 1 - first), (last, 1 - last)))
    target = schedule.target_shares(begin, begin + length)
    assert sum(target) == pytest.approx(1, abs=1e-9)
    assert min(first, last) - 1e-9 <= target[0] <= max(first, last) + 1e-9


def test_the_presets_are_the_schedules_of_the_study() -> None:
    code = {name: [c / (t + c) for t, c in phases] for name, phases in PRESETS.items()}
    assert code["uniform"] == [3 / 8] * 4
    assert code["increase"] == [0.3, 0.3, 0.4, 0.5]
    assert code["decrease"] == code["increase"][::-1]


@pytest.mark.parametrize("packed_length", [64, None], ids=["packed", "whole"])
def test_arms_of_equal_budget_differ_by_less_than_one_sequence(tmp_path: Path, packed_length: int | None) -> None:
    text = open_jsonl(write_source(tmp_path, "text", [5, 61, 17] * 40, 1000))
    code = open_jsonl(write_source(tmp_path, "code", [33, 2, 64] * 40, 3000))
    totals = []
    for weights in ((1, 0), (5, 3), (0, 1)):
        stream = mixed(stepwise(("text", "code"), weights), [text, code], 20_011, packed_length=packed_length).stream()
        for _ in stream:
            pass
        totals.append(stream.total)
    assert max(totals) - min(totals) < 64
    assert 20_011 - 64 < min(totals) <= max(totals) <= 20_011


def tokens_of(sequences: list[TrainingExample]) -> list[list[int]]:
    return [sequence.columns["input_ids"] for sequence in sequences]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), packed=st.booleans(), shuffled=st.booleans())
def test_a_stream_resumed_anywhere_continues_at_the_exact_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packed: bool, shuffled: bool
) -> None:
    folder = tmp_path_factory.mktemp("sources")
    seed = 3 if shuffled else None
    sources = [
        open_jsonl(write_source(folder, "text", [5, 90, 17] * 9, 1000), seed=seed),
        open_jsonl(write_source(folder, "code", [33, 2] * 9, 3000), seed=seed),
    ]
    mixture = mixed(stepwise(("text", "code"), (7, 3), (1, 1)), sources, 4000, packed_length=50 if packed else None)
    whole = list(mixture.stream())
    stop = data.draw(st.integers(0, len(whole)))
    first = mixture.stream()
    head = list(itertools.islice(first, stop))
    state = json.loads(json.dumps(first.state()))
    second = mixture.stream(state)
    assert tokens_of(head + list(second)) == tokens_of(whole)
    finished = mixture.stream()
    for _ in finished:
        pass
    assert second.ledger == finished.ledger
    assert second.repeats == finished.repeats


def test_a_stream_depends_on_its_seed_alone(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [7] * 100, 1000)
    streams = [
        tokens_of(list(mixed(stepwise(("text",), (1,)), [open_jsonl(path, seed=seed)], 600).stream()))
        for seed in (0, 0, 1)
    ]
    assert streams[0] == streams[1] != streams[2]


def test_every_record_is_drawn_once_before_any_is_repeated(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [3] * 50, 1000)
    stream = mixed(stepwise(("text",), (1,)), [open_jsonl(path)], 3 * 125).stream()
    drawn = [sequence.columns["input_ids"][0] for sequence in stream]
    assert sorted(drawn[:50]) == sorted(drawn[50:100]) == list(range(1000, 1050))
    assert drawn[:50] != drawn[50:100]
    assert stream.repeats == [2]
    assert stream.ledger.records == [125]


@given(
    lengths=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=25), min_size=1, max_size=4),
    epochs=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_epochs_stream_every_record_equally_often(lengths: list[list[int]], epochs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = [
            open_jsonl(write_source(Path(folder), f"s{index}", of_source, 1000 * (index + 1)))
            for index, of_source in enumerate(lengths)
        ]
        budget, schedule = budget_of_epochs(sources, epochs, encode, skip_bad=False, held_out=frozenset())
        assert budget == epochs * sum(map(sum, lengths))
        streamed = tokens_of(list(mixed(schedule, sources, budget).stream()))
    counts = Counter(row[0] for row in streamed)
    assert set(counts.values()) == {epochs}
    assert len(counts) == sum(map(len, lengths))


def test_a_look_for_the_next_record_is_no_repetition(tmp_path: Path) -> None:
    source = open_jsonl(write_source(tmp_path, "one", [10] * 7, 1000))
    stream = mixed(stepwise(("one",), (1,)), [source], 70).stream()
    assert len(list(stream)) == 7
    assert stream.repeats == [0]
    stream = mixed(stepwise(("one",), (1,)), [source], 150).stream()
    assert len(list(stream)) == 15
    assert stream.repeats == [2]


def test_half_an_epoch_and_held_out_records(tmp_path: Path) -> None:
    source = open_jsonl(write_source(tmp_path, "one", [10] * 20, 1000))
    first = {"text": " ".join(["1000"] * 10), "begins": True, "ends": True}
    held_out = frozenset({record_digest(first)})
    budget, schedule = budget_of_epochs([source], 0.5, encode, skip_bad=False, held_out=held_out)
    assert budget == 95
    streamed = tokens_of(list(mixed(schedule, [source], budget, held_out=held_out).stream()))
    assert len(streamed) == 9
    assert not any(1000 in row for row in streamed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data: give budget_tokens, or num_train_epochs instead"),
        ({"budget_tokens": 5, "num_train_epochs": 1}, "data: give budget_tokens, or num_train_epochs instead"),
        ({"num_train_epochs": 1, "mixture": {"weights": {"one": 1}}}, "give budget_tokens for a mixture"),
        ({"num_train_epochs": 2, "when_exhausted": "end"}, "2 epochs need `when_exhausted: repeat`"),
        ({"num_train_epochs": 0}, "data.num_train_epochs: Input should be greater than 0"),
    ],
)
def test_a_wrong_budget_is_refused(data: dict[str, Any], message: str) -> None:
    spec = {"stage": "sft", "name": "a", "from": "b", "data": {"sources": {"one": {"path": "x.jsonl"}}, **data}}
    with pytest.raises(InputError) as caught:
        parse(spec, "sft")
    assert message in str(caught.value)


def test_a_task_without_end_has_no_epochs() -> None:
    source = open_source("logic", SourceSpec(task="mini_logic"), stage="sft", rationale="omit", seed=0)
    with pytest.raises(InputError, match=r"data.sources.logic: mini_logic has no end, so it has no epochs; give a lim"):
        budget_of_epochs([source], 1, encode, skip_bad=False, held_out=frozenset())


def test_an_exhausted_source_that_is_not_repeated_ends_the_stream(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [3] * 50, 1000)
    stream = mixed(stepwise(("text",), (1,)), [open_jsonl(path)], 10_000, repeat=False).stream()
    assert len(list(stream)) == 50
    assert stream.repeats == [0]


def test_skip_and_limit_choose_the_same_records_whatever_the_order(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [1] * 50, 1000)
    for seed in (None, 0, 1):
        source = open_jsonl(path, seed=seed, skip=10, limit=20)
        drawn = [s.columns["input_ids"][0] for s in mixed(stepwise(("text",), (1,)), [source], 40).stream()]
        assert sorted(drawn) == sorted([*range(1010, 1030)] * 2)


def test_packed_sequences_keep_the_boundaries_of_documents(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [5, 90, 17, 3], 1000)
    mixture = mixed(stepwise(("text",), (1,)), [open_jsonl(path, seed=None)], 400, packed_length=20)
    seen: list[int] = []
    for sequence in mixture.stream():
        ids, labels, lengths = (sequence.columns[key] for key in ("input_ids", "labels", "seq_lengths"))
        assert len(ids) == len(labels) == sum(lengths) == 20
        begins = [0, *itertools.accumulate(lengths)][:-1]
        for begin, length in zip(begins, lengths, strict=True):
            assert len(set(ids[begin : begin + length])) == 1, "each piece holds one document only"
            assert labels[begin] == IGNORED, "no document predicts the next one's first token"
            assert labels[begin + 1 : begin + length] == ids[begin + 1 : begin + length]
        seen += ids
    expected = [token for length, token in zip([5, 90, 17, 3], range(1000, 1004), strict=True) for _ in range(length)]
    assert seen[: len(expected)] == expected, "no token is lost or out of order"


@pytest.mark.parametrize("packed_length", [10, None], ids=["packed", "whole"])
def test_a_phase_boundary_within_a_token_takes_no_token_from_the_next_phase(
    tmp_path: Path, packed_length: int | None
) -> None:
    sources = [open_jsonl(write_source(tmp_path, name, [5] * 40, base)) for name, base in (("a", 1000), ("b", 2000))]
    stream = mixed(stepwise(("a", "b"), (1, 0), (0, 1)), sources, 101, packed_length=packed_length).stream()
    for _ in stream:
        pass
    assert stream.ledger.tokens[0][1] == stream.ledger.tokens[1][0] == 0


def test_a_source_without_weight_gives_nothing_in_that_phase(tmp_path: Path) -> None:
    sources = [
        open_jsonl(write_source(tmp_path, "text", [40] * 30, 1000)),
        open_jsonl(write_source(tmp_path, "code", [7] * 30, 2000)),
    ]
    stream = mixed(stepwise(("text", "code"), (1, 0), (0, 1)), sources, 2000).stream()
    by_phase: dict[int, set[str]] = {0: set(), 1: set()}
    for sequence in stream:
        by_phase[sequence.phase].update(sequence.sources)
    assert by_phase == {0: {"text"}, 1: {"code"}}


def test_pieces_of_a_long_text_stay_in_order_among_shuffled_documents(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    long = "".join(f"line {n} of the long book\n" for n in range(20_000))  # several pieces of 64 KiB
    (folder / "long.txt").write_text(long)
    for number in range(30):
        (folder / f"short{number:02}.txt").write_text(f"short {number}\n")
    source = open_source("books", SourceSpec(path=str(folder)), stage="pretrain", rationale="omit", seed=3)
    texts = [record["text"] for record, _, _ in source.read_epoch(SourcePosition())]
    assert long in "".join(texts)
    shorts = [text for text in texts if text.startswith("short")]
    assert sorted(shorts) == sorted(f"short {n}\n" for n in range(30))
    assert shorts != sorted(shorts)


def test_pieces_stay_in_order_where_a_block_ends_within_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.trainers.data.sources.BLOCK_RECORDS", 3)
    long = "".join(f"line {n} of the long book\n" for n in range(20_000))
    (tmp_path / "b.txt").write_text(long)
    (tmp_path / "a.txt").write_text("before\n")
    (tmp_path / "c.txt").write_text("after\n")
    source = open_source("books", SourceSpec(path=str(tmp_path)), stage="pretrain", rationale="omit", seed=3)
    epoch = list(source.read_epoch(SourcePosition()))
    assert long in "".join(record["text"] for record, _, _ in epoch)
    for number, (_, _, position) in enumerate(epoch[:-1]):
        following = [record for record, _, _ in source.read_epoch(position)]
        assert following == [record for record, _, _ in epoch[number + 1 :]]


def test_an_epoch_opens_its_source_once_for_all_blocks(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [1] * 10_000, 1)
    source = open_jsonl(path)
    counted, opened = counting(source)
    assert sum(1 for _ in counted.read_epoch(SourcePosition())) == 10_000
    assert opened == [Cursor()]


def test_streams_at_nearly_the_same_position_read_a_block_once(tmp_path: Path) -> None:
    source = open_jsonl(write_source(tmp_path, "text", [1] * 5000, 1))
    counted, opened = counting(source)
    fresh = list(itertools.islice(source.read_epoch(SourcePosition()), 3000))
    again = [list(itertools.islice(counted.read_epoch(SourcePosition()), 3000)) for _ in range(3)]
    assert again == [fresh] * 3
    assert opened == [Cursor()]
    assert list(counted.read_epoch(fresh[2500][2])) == list(source.read_epoch(fresh[2500][2])), (
        "taken up in a block that was kept"
    )
    assert len(opened) == 2, "and reads on after it"
    assert len(counted.recent_blocks) == 2


SPEC = {"stage": "pretrain", "name": "n", "architecture": "tiny", "tokenizer": "t"}


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"weights": {"text": -1, "code": 2}}, "weight -1.0 of 'text'"),
        ({"weights": {"text": 0, "code": 0}}, "sum to 0"),
        ({"weights": {"text": 1, "cod": 1}}, "unknown source 'cod'; data.sources has text, code. Did you mean code?"),
        ({"schedule": "stepwise", "phases": [{"text": 1}, {"cde": 1}]}, "data.mixture.phases[1]: unknown source 'cde'"),
        ({"schedule": "stepwise"}, "data.mixture.phases: is missing"),
        ({"schedule": "linear", "start": {"text": 1}}, "data.mixture.end: is missing"),
        ({"schedule": "stepwise", "preset": "increas"}, "Did you mean increase"),
    ],
)
def test_a_wrong_mixture_is_refused_naming_the_field(mixture: dict[str, Any], message: str) -> None:
    sources = {"text": {"path": "t.jsonl"}, "code": {"path": "c.jsonl"}}
    with pytest.raises(InputError) as error:
        parse({**SPEC, "data": {"budget_tokens": 10, "sources": sources, "mixture": mixture}}, "pretrain")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_preset_gives_the_code_source_its_share_for_any_order_of_names() -> None:
    sources = {"python": SourceSpec(path="c"), "books": SourceSpec(path="t")}
    mixture = MixtureSpec(schedule="stepwise", preset="increase", code="python")
    data = DataSpec(budget_tokens=10, sources=sources, mixture=mixture)
    spec = StageSpec(stage="pretrain", name="n", data=data)
    assert [phase[0] for phase in spec.schedule.weights] == [0.3, 0.3, 0.4, 0.5]


LARGE = """
import re, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_mixture import open_jsonl, mixed, stepwise
began = time.monotonic()
stream = iter(mixed(stepwise(("large",), (1,)), [open_jsonl(Path(sys.argv[1]))], 10**12, packed_length=1024).stream())
for _ in range(10):
    next(stream)
# Not getrusage: it inherits the maximum of the parent process.
peak_kb = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(time.monotonic() - began, int(peak_kb) / 1024)
"""


def test_a_source_far_larger_than_memory_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    line = json.dumps({"text": " ".join(["77"] * 2000)}) + "\n"
    with path.open("w") as file:
        file.write(line * 6000)  # several blocks; one is read
        file.truncate(100 * 10**9)  # sparse: 100 GB that take no disk space
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory_mb = map(float, done.stdout.split())
    assert memory_mb < 2048
    assert seconds < 60, "reading all of it would take many minutes"


GROWTH = """
import re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_mixture import open_jsonl, mixed, stepwise
def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
stream = iter(mixed(stepwise(("text",), (1,)), [open_jsonl(Path(sys.argv[1]))], 10**9).stream())
for _ in range(4500):  # three epochs: every buffer is full
    next(stream)
before = peak_mb()
for _ in range(6000):
    next(stream)
print(peak_mb() - before)
"""


def test_memory_does_not_grow_while_streaming(tmp_path: Path) -> None:
    path = write_source(tmp_path, "text", [2000] * 1500, 1000)  # about 15 MB
    words = [sys.executable, "-c", GROWTH, str(path), str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10, "four more epochs over 15 MB"

"""Generated items: what the generators in ``tasks/reasoning_mini`` share. It has no content of its own.

    def parity(rng, level):
        n = rng.randrange(10**level)
        return Draft(question=f"Is {n} even?", correct=..., wrong=[...], rationale="...")

    items = make_items("numbers", {"parity": parity}, "test", 200)

A template is a function ``(rng, level) -> Draft | None``. This module turns templates into an infinite stream of
multiple-choice items. Item `i` of a split depends only on the domain, the split and `i`, so any item can be generated
by itself, on any machine.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from datasets import DatasetDict

Split = Literal["train", "test"]
CHOICES = 4
POOL = 10  # candidates for the three wrong answers
LEVELS = 3
TEST_ITEMS = 200
TRAIN_ITEMS = 200  # items that a task loads for few-shot prompts; the stream is infinite

NAMES = (
    *("Ada", "Amir", "Bela", "Boris", "Carla", "Chen", "Dalia", "Dmitri", "Elena", "Emeka", "Farah", "Felix"),
    *("Greta", "Hugo", "Ines", "Ivan", "Jonas", "Kemal", "Lena", "Lucia", "Marta", "Milo", "Nadia", "Noor"),
    *("Olga", "Omar", "Paula", "Petra", "Ravi", "Rosa", "Samir", "Selma", "Tariq", "Tess", "Vera", "Yusuf"),
)
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question with its answers, before the choices have positions.

    Attributes:
        question: The whole question, without the choices.
        correct: The right answer.
        wrong: Distinct wrong answers; three of them are used, and a draft with fewer is discarded.
        rationale: One to three sentences that lead to the answer.
        core: The content without wording and distractors. Drafts with the same core count as the same item. By default
            the question.
    """

    question: str
    correct: str
    wrong: Sequence[str]
    rationale: str
    core: str = ""


ItemTemplate = Callable[[random.Random, int], Draft | None]
"""Returns a draft of the given level (1 to `LEVELS`), or None if the draw was unsuitable and should be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedItem:
    """One multiple-choice item.

    Attributes:
        id: ``<domain>-<split>-<index>``.
        template: The template that generated it; the cluster for clustered standard errors.
        level: Difficulty, from 1.
        question: The question without the choices.
        choices: The four choices.
        answer: Index of the correct choice.
        rationale: One to three sentences that lead to the answer.
        key: Digest of the core; no key occurs in both splits.
    """

    id: str
    template: str
    level: int
    question: str
    choices: tuple[str, ...]
    answer: int
    rationale: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One programming problem.

    Attributes:
        id: ``<domain>-<split>-<index>``.
        template: Its family; the cluster for clustered standard errors.
        level: Difficulty, from 1.
        program_prompt: Signature and docstring with one example, up to the closing quotes. There is no line break at
            the end, because small models stop after one.
        code: A line break and a body that passes the tests; it follows the prompt.
        tests: Assertions, one per line.
        setup: Code to run before the program; empty here.
        entry_point: The function's name.
        rationale: The function's purpose, in one sentence.
        wrong: Bodies in the same form as `code` that fail at least one test.
        key: Digest of the prompt; no key occurs in both splits.
    """

    id: str
    template: str
    level: int
    program_prompt: str
    code: str
    tests: str
    setup: str
    entry_point: str
    rationale: str
    wrong: tuple[str, ...]
    key: str


T = TypeVar("T")
Generated = TypeVar("Generated", bound=GeneratedItem | Problem)


def digest(text: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def belongs(key: str, split: Split) -> bool:
    """Return whether content with this digest belongs to `split`: three eighths belong to test, the rest to train.

    For example, keys that start with ``5f`` (95) belong to test, with ``60`` (96) to train. The split depends on the
    content alone, so that the infinite train stream never contains a test item.
    """
    return (int(key[:2], 16) < 96) == (split == "test")


def make_items(
    domain: str, templates: Mapping[str, ItemTemplate], split: Split, count: int, *, start: int = 0
) -> Iterator[GeneratedItem]:
    """Yield items `start` to ``start + count - 1`` of a domain's stream; templates and levels alternate."""
    names = list(templates)
    for index in range(start, start + count):
        name, level = names[index % len(names)], 1 + index // len(names) % LEVELS
        rng = random.Random(f"{domain}/{split}/{index}")
        draft, key = draw(rng, split, partial(_draft, templates[name], level), lambda d: d.core or d.question)
        wrong = pick_distractors(rng, draft)
        position = _position(domain, split, index)
        yield GeneratedItem(
            id=f"{domain}-{split}-{index}",
            template=name,
            level=level,
            question=draft.question,
            choices=(*wrong[:position], draft.correct, *wrong[position:]),
            answer=position,
            rationale=draft.rationale,
            key=key,
        )


def _draft(template: ItemTemplate, level: int, rng: random.Random) -> Draft | None:
    draft = template(rng, level)
    return draft if draft is not None and len(draft.wrong) >= CHOICES - 1 else None


def draw(
    rng: random.Random, split: Split, make: Callable[[random.Random], T | None], core: Callable[[T], str]
) -> tuple[T, str]:
    """Call `make` until the result belongs to `split`; return it and its key."""
    for _ in range(1000):
        made = make(rng)
        if made is not None and belongs(key := digest(core(made)), split):
            return made, key
    raise AssertionError("no draw of 1000 belongs to the split")


def _position(domain: str, split: Split, index: int) -> int:
    """The answer's position. Each run of four items uses all four positions, in an order drawn for that run."""
    places = list(range(CHOICES))
    random.Random(f"{domain}/{split}/places/{index // CHOICES}").shuffle(places)
    return places[index % CHOICES]


def pick_distractors(rng: random.Random, draft: Draft) -> list[str]:
    """Choose three wrong answers, in random order, such that simple rules do not find the right one.

    Without this, the right answers of a template tend to be, say, the longest or the middle number. Four features rank
    the choices: length, words shared with the question, numeric value, alphabetical order. A target rank of the right
    answer is drawn for each feature, and the triple of wrong answers is chosen that comes closest to the targets, with
    the features in a random order of importance.

    Example: the right answer is 12 and its target rank by value is 0 (smallest). Then three wrong answers above 12 are
    chosen, if the pool has them.
    """
    pool = list(draft.wrong)
    assert len({draft.correct, *pool}) == len(pool) + 1, f"choices are not distinct: {draft}"
    pool = rng.sample(pool, min(len(pool), POOL))
    if len(pool) == CHOICES - 1:
        return pool
    words = set(_words(draft.question))
    right = _features(draft.correct, words)
    aims = [rng.randrange(CHOICES) for _ in right]
    # By how much each wrong answer raises the right one's rank: 1 if it ranks below it, 1/2 if they are equal.
    pushes = [_pushes(_features(text, words), right) for text in pool]

    order = rng.sample(range(len(aims)), len(aims))

    def distance(triple: Iterable[int]) -> list[float]:
        chosen = [pushes[i] for i in triple]
        return [abs(sum(push[feature] for push in chosen) - aims[feature]) for feature in order]

    triples = list(itertools.combinations(range(len(pool)), CHOICES - 1))
    rng.shuffle(triples)
    triple = min(triples, key=distance)
    return rng.sample([pool[i] for i in triple], CHOICES - 1)


def _pushes(other: tuple[float, float, float, str], right: tuple[float, float, float, str]) -> list[float]:
    numbers = [(a < b) + (a == b) / 2 for a, b in zip(other[:3], right[:3], strict=True)]
    return [*numbers, float(other[3] < right[3])]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _features(text: str, question_words: set[str]) -> tuple[float, float, float, str]:
    number = re.match(r"-?\d[\d,]*(\.\d+)?", text)
    value = float(number[0].replace(",", "")) if number else 0.0
    return float(len(text)), float(len(question_words.intersection(_words(text)))), value, text


def distinct(items: Iterable[Generated]) -> Iterator[Generated]:
    """Yield the items whose key has not occurred before."""
    seen: set[str] = set()
    for item in items:
        if item.key not in seen:
            seen.add(item.key)
            yield item


def load_items(generate: Callable[[Split, int], Iterator[GeneratedItem | Problem]]) -> DatasetDict:
    """Return the data set for lm-eval: the first distinct items of both splits, one row per item.

    Rows have the fields of `GeneratedItem` or `Problem`. Those of a `GeneratedItem` also have ``gold`` (the same as
    `answer`) and ``letters``: the names that the prompts of the whole suite use.

    Args:
        generate: A domain's ``generate(split, count)``.
    """
    from datasets import Dataset, DatasetDict

    sizes: dict[Split, int] = {"train": TRAIN_ITEMS, "test": TEST_ITEMS}
    by_split = {split: itertools.islice(distinct(generate(split, 10 * size)), size) for split, size in sizes.items()}
    return DatasetDict(
        {split: Dataset.from_list([as_row(item) for item in items]) for split, items in by_split.items()}
    )


def as_row(item: GeneratedItem | Problem) -> dict[str, Any]:
    """Return the data set row of an item or problem."""
    row = asdict(item)
    return row | {"gold": item.answer, "letters": list("ABCD")} if isinstance(item, GeneratedItem) else row


def sibling(file: str, name: str) -> ModuleType:
    """Import ``name.py`` from the folder of `file`.

    Task folders are not packages; lm-eval loads their files by path. With this function a generator can have several
    files.
    """
    path = Path(file).resolve().with_name(f"{name}.py")
    module_name = f"reasoning_mini.{path.parent.name}.{name}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    return sys.modules[module_name]


def join(words: Sequence[str], conjunction: str = "and") -> str:
    """Return ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def sentence(clause: str) -> str:
    """Return `clause` with a capital first letter and a full stop."""
    return f"{clause[0].upper()}{clause[1:]}."

"""The suite's generators as lm-eval loads them, and their items, made once for all tests."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.suite import generated
from harness.suite.generated import GeneratedItem, Problem, Split

SUITE = Path(__file__).parents[2] / "tasks" / "reasoning_mini"
CHOICE_DOMAINS = ("logic", "legal", "science", "analogy", "code_qa")
DOMAINS = (*CHOICE_DOMAINS, "code_gen")
TRAIN_READ = 2000  # how far the endless train stream is read


def module(domain: str, name: str = "generator") -> Any:
    return generated.sibling(str(SUITE / domain / "generator.py"), name)


def stream(domain: str) -> Callable[..., Iterator[Any]]:
    generate: Callable[..., Iterator[Any]] = module(domain).generate
    return generate


@functools.cache
def items(domain: str, split: Split, count: int) -> tuple[GeneratedItem, ...]:
    """The first distinct multiple-choice items of a split."""
    return tuple(itertools.islice(generated.distinct(stream(domain)(split, 20 * count)), count))


@functools.cache
def train_stream(domain: str) -> tuple[GeneratedItem | Problem, ...]:
    """The first items of the endless train stream, as they come."""
    return tuple(stream(domain)("train", TRAIN_READ))


@functools.cache
def problems(split: Split, count: int) -> tuple[Problem, ...]:
    """The first distinct programming problems of a split."""
    return tuple(itertools.islice(generated.distinct(stream("code_gen")(split, 20 * count)), count))

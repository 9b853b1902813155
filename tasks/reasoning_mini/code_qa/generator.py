"""Code questions: what a function does, whether it matches a query, what it returns. Keys come from running it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

functions = generated.sibling(__file__, "functions")
running = generated.sibling(__file__, "running")
snippets = generated.sibling(__file__, "snippets")
blanks = generated.sibling(__file__, "blanks")


def _family(rng: random.Random, level: int) -> tuple[Any, str, list[tuple[str, str]]]:
    """Draw a family, a meaningless function name, and the variants with values for their parameters."""
    family = rng.choice([f for f in functions.FAMILIES if f.level == level])
    values = {key: rng.choice(options) for key, options in functions.PARAMETERS.items()}
    return (
        family,
        rng.choice(functions.NAMES),
        [(_fill(says, values), _fill(body, values)) for says, body in family.variants],
    )


def _fill(text: str, values: dict[str, Any]) -> str:
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


def _source(name: str, argument: str, body: str) -> str:
    return f"def {name}({argument}):\n    " + body.replace("\n", "\n    ")


def describe(rng: random.Random, level: int) -> generated.Scene:
    """What does this function do?"""
    family, name, variants = _family(rng, level)

    def ask(rng: random.Random) -> generated.Draft:
        says, body = rng.choice(variants)
        return generated.Draft(
            question=f"{_source(name, family.argument, body)}\n\nWhat does the function {name} do?",
            answer=f"It {says}.",
            rationale=_because(rng, family, name, body, says),
            structure=body,
            unit=family.name,
        )

    return ask


def query(rng: random.Random, level: int) -> generated.Scene:
    """Does this function do what the query asks, and if not, what does it do?"""
    family, name, variants = _family(rng, level)
    variants = rng.sample(variants, generated.CHOICES)
    asked = variants[0][0]

    def ask(rng: random.Random) -> generated.Draft:
        says, body = rng.choice(variants)
        return generated.Draft(
            question=f"Query: a function that {asked}.\n\n{_source(name, family.argument, body)}\n\n"
            f"Does the function {name} do what the query asks?",
            answer=f"Yes, it {says}." if says == asked else f"No, it {says}.",
            rationale=f"{_because(rng, family, name, body, says)} That is {'' if says == asked else 'not '}what the "
            "query asks.",
            structure=f"{asked} {body}",
            unit=asked,
        )

    return ask


def _because(rng: random.Random, family: Any, name: str, body: str, says: str) -> str:
    argument = family.make(rng)
    value = running.returned(_source(name, family.argument, body), name, argument)
    return f"For example, {name}({argument!r}) returns {value!r}, because the function {says}."


def returns(rng: random.Random, level: int) -> generated.Scene:
    """What does the function return for an argument? The wrong answers are what similar functions return for it."""
    family, name, variants = _family(rng, level)
    argument = family.make(rng)

    def ask(rng: random.Random) -> generated.Draft | None:
        says, body = rng.choice(variants)
        source = _source(name, family.argument, body)
        answer = repr(running.returned(source, name, argument))
        if answer in ("[]", "''"):
            return None
        return generated.Draft(
            question=f"{source}\n\nWhat does {name}({argument!r}) return?",
            answer=answer,
            rationale=f"The function {says}. For {argument!r} that gives {answer}.",
            structure=f"{body} {argument!r}",
            unit=f"{family.name} {argument!r}",
        )

    return ask


def which_call(rng: random.Random, level: int) -> generated.Scene:
    """Which of four arguments makes the function return a given value?

    The arguments have the same parts in different orders. If the order makes no difference, they differ in one part,
    and no call contains the value that another returns. So the value does not point to the call that it resembles.
    """
    family, name, variants = _family(rng, level)
    says, body = rng.choice(variants)
    source, first = _source(name, family.argument, body), family.make(rng)
    orders = [running.shuffled(rng, first) for _ in range(generated.CHOICES)]
    ordered = len({repr(running.returned(source, name, argument)) for argument in orders}) > 1

    def ask(rng: random.Random) -> generated.Draft | None:
        argument = running.shuffled(rng, first) if ordered else running.altered(rng, first, family.make(rng))
        value, call = repr(running.returned(source, name, argument)), f"{name}({argument!r})"
        parts = set(re.findall(r"\w+", value))
        if value in ("[]", "0", "''") or (not ordered and parts & set(re.findall(r"\w+", call))):
            return None
        return generated.Draft(
            question=f"{source}\n\nWhich call returns {value}?",
            answer=call,
            rationale=f"The function {says}, so {call} returns {value}; the other calls do not.",
            structure=f"{body} {argument!r}",
            claim=(value, call),
            accepts=lambda other: other[0] == value or not (ordered or parts.isdisjoint(re.findall(r"\w+", other[1]))),
        )

    return ask


def prints(rng: random.Random, level: int, *, programs: Any) -> generated.Scene:
    """What does this short program print? The wrong answers are what programs print that differ in one place."""
    code = snippets.build(rng, rng.choice(programs[level]))
    versions = running.mutants(code)
    if len({running.printed(version) for version in versions}) < 2 * generated.CHOICES:
        versions = running.mutants(code, words=True)

    def ask(rng: random.Random) -> generated.Draft | None:
        code = rng.choice(versions)
        answer = running.printed(code)
        if answer is None or answer.strip() != answer or answer in ("", "[]"):
            return None
        return generated.Draft(
            question=f"{code}\n\nWhat does this program print?",
            answer=answer,
            rationale=f"Following the program statement by statement, the value at the end is {answer}, which is "
            "printed.",
            structure=code,
        )

    return ask


def blank(rng: random.Random, level: int) -> generated.Scene:
    """Which expression completes the function as specified?"""
    chosen = rng.choice([b for b in blanks.BLANKS if b.level == level])
    values = {"k": rng.randrange(2, 10)}
    name = rng.choice(functions.NAMES)
    code = _fill(chosen.code, values).replace("def f(", f"def {name}(")
    fills = [(_fill(expression, values), _fill(task, values)) for expression, task in chosen.fills]
    behaviour = {
        expression: repr([running.returned(code.replace("____", expression), name, a) for a in chosen.arguments])
        for expression, _ in fills
    }

    def ask(rng: random.Random) -> generated.Draft:
        expression, task = rng.choice(fills)
        return generated.Draft(
            question=f"{code}\n\nThe function {name} should be one that {task}. Which expression belongs in the blank?",
            answer=expression,
            rationale=f"With `{expression}` in the blank, the function {task}, as it should.",
            structure=task,
            unit=f"{chosen.code} {values}",
            claim=expression,
            accepts=lambda other: behaviour[other] == behaviour[expression],
        )

    return ask


TEMPLATES: dict[str, generated.ItemTemplate] = {
    "describe": describe,
    "returns": returns,
    "query": query,
    "prints_numbers": partial(prints, programs=snippets.NUMBERS),
    "blank": blank,
    "prints_text": partial(prints, programs=snippets.TEXT),
    "which_call": which_call,
    "prints_collections": partial(prints, programs=snippets.COLLECTIONS),
}


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.GeneratedItem]:
    """Yield `count` items of the infinite stream, from item `start`."""
    return generated.make_items("code_qa", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)

"""Code questions: what a function does, whether it matches a query, what it returns. Keys come from running it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
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


def describe(rng: random.Random, level: int) -> generated.Draft:
    """What does this function do?"""
    family, name, variants = _family(rng, level)
    says, body = rng.choice(variants)
    return generated.Draft(
        question=f"{_source(name, family.argument, body)}\n\nWhat does the function {name} do?",
        correct=f"It {says}.",
        wrong=[f"It {other}." for other, _ in variants if other != says],
        rationale=_because(rng, family, name, body, says),
        core=f"describe {family.name} {body}",
    )


def query(rng: random.Random, level: int) -> generated.Draft:
    """Does this function do what the query asks, and if not, what does it do?"""
    family, name, variants = _family(rng, level)
    variants = rng.sample(variants, generated.CHOICES)
    asked = variants[0][0]
    says, body = rng.choice(variants)
    choices = {s: f"Yes, it {s}." if s == asked else f"No, it {s}." for s, _ in variants}
    return generated.Draft(
        question=f"Query: a function that {asked}.\n\n{_source(name, family.argument, body)}\n\n"
        f"Does the function {name} do what the query asks?",
        correct=choices[says],
        wrong=[text for s, text in choices.items() if s != says],
        rationale=f"{_because(rng, family, name, body, says)} That is {'' if says == asked else 'not '}what the "
        "query asks.",
        core=f"query {family.name} {asked} {body}",
    )


def _because(rng: random.Random, family: Any, name: str, body: str, says: str) -> str:
    argument = family.make(rng)
    value = running.returned(_source(name, family.argument, body), name, argument)
    return f"For example, {name}({argument!r}) returns {value!r}, because the function {says}."


def returns(rng: random.Random, level: int) -> generated.Draft:
    """What does the function return for an argument?"""
    family, name, variants = _family(rng, level)
    says, body = rng.choice(variants)
    argument = family.make(rng)
    source = _source(name, family.argument, body)
    right = repr(running.returned(source, name, argument))
    others = [repr(running.returned(_source(name, family.argument, b), name, argument)) for _, b in variants]
    if isinstance(argument, list | dict) and right in (parts := [repr(part) for part in argument]):
        others = parts  # a part of the argument is mistaken for another part
    return generated.Draft(
        question=f"{source}\n\nWhat does {name}({argument!r}) return?",
        correct=right,
        wrong=_wrong(rng, right, others),
        rationale=f"The function {says}. For {argument!r} that gives {right}.",
    )


def _wrong(rng: random.Random, right: str, likely: Sequence[str]) -> list[str]:
    """The likely wrong answers; if there are few, also some that look like the right one."""
    found = [text for text in dict.fromkeys(likely) if text not in (right, "", "[]")]
    similar = [text for text in dict.fromkeys(running.near_misses(rng, right)) if text != right and text not in found]
    return [*found[:6], *similar[: 9 - len(found[:6])]]


def which_call(rng: random.Random, level: int) -> generated.Draft | None:
    """Which of four arguments makes the function return a given value?"""
    family, name, variants = _family(rng, level)
    says, body = rng.choice(variants)
    source = _source(name, family.argument, body)
    arguments = [family.make(rng) for _ in range(3)]
    arguments += [running.altered(rng, arguments[0], family.make(rng)) for _ in range(6)]
    values = [repr(running.returned(source, name, a)) for a in arguments]
    calls = [f"{name}({a!r})" for a in arguments]
    if len(set(calls)) < len(calls):
        return None
    target = values[0]
    wrong = [call for call, value in zip(calls, values, strict=True) if value != target]
    if len(wrong) < 3 or target in ("[]", "0"):
        return None
    return generated.Draft(
        question=f"{source}\n\nWhich call returns {target}?",
        correct=calls[0],
        wrong=wrong,
        rationale=f"The function {says}. Only {calls[0]} gives {target} that way.",
    )


def prints(rng: random.Random, level: int, *, programs: dict[int, tuple[str, ...]]) -> generated.Draft | None:
    """What does the program print?"""
    code = snippets.build(rng, rng.choice(programs[level]))
    right = running.printed(code)
    if right is None or right in ("", "[]"):
        return None
    likely = (running.printed(tree) for tree in itertools.islice(running.mutants(rng, code), 8))
    return generated.Draft(
        question=f"{code}\n\nWhat does this program print?",
        correct=right,
        wrong=_wrong(rng, right, [text for text in likely if text is not None]),
        rationale=f"Following the program statement by statement, the value at the end is {right}, which is printed.",
    )


def blank(rng: random.Random, level: int) -> generated.Draft:
    """Which expression completes the function as specified?"""
    chosen = rng.choice([b for b in blanks.BLANKS if b.level == level])
    values = {"k": rng.randrange(2, 10)}
    name, task = rng.choice(functions.NAMES), _fill(chosen.task, values)
    code = _fill(chosen.code, values).replace("def f(", f"def {name}(")
    right = _fill(chosen.right, values)
    wrong = [
        w for w in (_fill(text, values) for text in chosen.wrong) if not _same(code, name, right, w, chosen.arguments)
    ]
    return generated.Draft(
        question=f"{code}\n\nThe function {name} should be one that {task}. Which expression belongs in the blank?",
        correct=right,
        wrong=wrong,
        rationale=f"With `{right}` in the blank, the function {task}, as it should.",
        core=f"blank {task}",
    )


def _same(code: str, name: str, right: str, other: str, arguments: Sequence[Any]) -> bool:
    """Whether two expressions in the blank give equal results for all arguments; an exception is a difference."""
    for argument in arguments:
        results = []
        for expression in (right, other):
            try:
                results.append(running.returned(code.replace("____", expression), name, argument))
            except (TypeError, IndexError, ValueError, ZeroDivisionError):
                return False
        if results[0] != results[1]:
            return False
    return True


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

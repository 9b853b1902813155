"""Code generation: a signature and a docstring to complete. Expected values come from running the solution."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

families = generated.sibling(__file__, "families")

TESTS = 5
LINE = 96  # docstrings are wrapped at this width


class Filled(NamedTuple):
    """A family with values for its parameters."""

    family: Any
    doc: str
    body: str
    wrong: tuple[str, ...]


def _fill(family: Any, rng: random.Random) -> Filled:
    values = {key: str(rng.choice(options)) for key, options in families.PARAMETERS.items()}

    def filled(text: str) -> str:
        return re.sub(r"<(\w+)>", lambda match: values[match[1]], text)

    return Filled(family, filled(family.doc), filled(family.body), tuple(filled(text) for text in family.wrong))


def _prompt(rng: random.Random, problem: Filled) -> str:
    """Signature and docstring, with the shortest of several example calls whose result is not empty."""
    family = problem.family
    calls = [family.make(rng) for _ in range(8)]
    telling = [call for call in calls if _run(family, problem.body, call)] or calls
    example = min(telling, key=lambda call: len(repr(call)))
    shown = f">>> {_call(family.name, example)}\n{_run(family, problem.body, example)!r}"
    doc = _indent(f'"""{_wrap(problem.doc)}\n\n{shown}\n"""')
    return f"def {family.name}({family.signature}:\n{doc}"


def _wrap(text: str) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def _call(name: str, arguments: tuple[Any, ...]) -> str:
    return f"{name}({', '.join(map(repr, arguments))})"


def _run(family: Any, body: str, arguments: tuple[Any, ...]) -> Any:
    """Run one of this suite's own solutions. Model-written programs only run in the sandbox."""
    function = _function(family.name, f"def {family.name}({family.signature}:\n{_indent(body)}")
    return function(*copy.deepcopy(arguments))


@lru_cache(maxsize=8)
def _function(name: str, source: str) -> Any:
    space: dict[str, Any] = {}
    exec(source, space)  # noqa: S102 - our own solution
    return space[name]


def _gives(family: Any, body: str, arguments: tuple[Any, ...], expected: Any) -> bool:
    try:
        return bool(_run(family, body, arguments) == expected)
    except (TypeError, ValueError, IndexError, KeyError):
        return False


def _tests(rng: random.Random, problem: Filled) -> list[tuple[Any, ...]]:
    """Calls such that every wrong solution fails at least one: edge cases first, then random calls."""
    calls, alive = list(problem.family.edges), set(problem.wrong)
    for attempt in range(60):
        for call in calls if attempt == 0 else calls[-1:]:
            expected = _run(problem.family, problem.body, call)
            alive = {body for body in alive if _gives(problem.family, body, call, expected)}
        if len(calls) >= TESTS and not alive:
            return calls
        call = problem.family.make(rng)
        calls += [] if call in calls else [call]
    raise AssertionError(f"a wrong solution passes all tests: {problem.doc} {alive}")


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.Problem]:
    """Yield `count` problems of the infinite stream, from problem `start`; families alternate."""
    for index in range(start, start + count):
        family = families.FAMILIES[index % len(families.FAMILIES)]
        rng = random.Random(f"code_gen/{split}/{index}")
        # The docstring alone identifies the problem; example and tests are drawn again each time.
        problem, key = generated.draw(rng, split, partial(_fill, family), lambda made: made.doc)
        calls = _tests(rng, problem)
        yield generated.Problem(
            id=f"code_gen-{split}-{index}",
            template=family.name,
            level=family.level,
            program_prompt=_prompt(rng, problem),
            code=f"\n{_indent(problem.body)}\n",
            tests="\n".join(f"assert {_call(family.name, c)} == {_run(family, problem.body, c)!r}" for c in calls),
            setup="",
            entry_point=family.name,
            rationale=f"The function has to {problem.doc[0].lower()}{problem.doc[1:]}",
            wrong=tuple(f"\n{_indent(body)}\n" for body in problem.wrong),
            key=key,
        )


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)

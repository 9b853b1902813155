"""What a reader asks for, as it stands in the address of a page, and the items that match.

/items?model=base&model=code&task=mini_logic&outcome=flipped&words=photosynthesis&page=2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from harness.errors import InputError, did_you_mean
from harness.reports.view.index import Index, TaskItems
from harness.reports.view.outcomes import ABSENT, CODE, MASKS, Mask, outcomes_for
from harness.visible import visible

MOST_MODELS = 4
PAGE_ITEMS = 50
LONGEST_WORDS = 500

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What to show.

    Attributes:
        models: One to four; the first is the one that the others are compared with.
        task: Its items only; empty for all tasks.
        outcome: One of `outcomes.MASKS`; empty for all.
        words: Words that the items must contain.
        page: From 1.
    """

    models: tuple[str, ...]
    task: str = ""
    outcome: str = ""
    words: str = ""
    page: int = 1

    def query(self, **changes: object) -> str:
        """Return the query of an address, with some fields changed; a change of another field than `page` resets it."""
        changed = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]  # the fields' own types
        pairs = [("model", shown_name(name)) for name in changed.models]
        pairs += [("task", shown_name(changed.task))] if changed.task else []
        pairs += [(name, value) for name in ("outcome", "words") if (value := getattr(changed, name))]
        return urlencode([*pairs, *([("page", str(changed.page))] if changed.page > 1 else [])])


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """The items that match a filter.

    Attributes:
        numbers: Their numbers in the index, ascending.
        counts: By outcome, how many items there are under the other fields of the filter; under "" all of them.
    """

    numbers: Numbers
    counts: Mapping[str, int]

    def page(self, number: int) -> list[int]:
        """Return the numbers of a page's items."""
        return [int(one) for one in self.numbers[(number - 1) * PAGE_ITEMS : number * PAGE_ITEMS]]


def shown_name(name: str) -> str:
    """Return a name as pages and addresses show it: forms send back what a page shows."""
    return visible(name, one_line=True)


def filter_of(index: Index, parameters: Sequence[tuple[str, str]]) -> Filter:
    """Read the query of an address; without models, the first two of the index are taken.

    Raises:
        InputError: A model, task, outcome or page does not exist.
    """
    one = dict(parameters)
    given = [value for name, value in parameters if name == "model" and value]
    models = tuple(dict.fromkeys(_known("model", name, index.models) for name in given))
    if len(models) > MOST_MODELS:
        raise InputError(f"{len(models)} models: at most {MOST_MODELS} can be shown side by side; leave some out.")
    models = models or index.models[:2]
    task, outcome, page = one.get("task", ""), one.get("outcome", ""), one.get("page", "1")
    words = one.get("words", "")[:LONGEST_WORDS].strip()
    if task:
        task = _known("task", task, [each.task for each in index.tasks])
    if outcome:
        _known("outcome", outcome, list(MASKS))
    if outcome not in outcomes_for(len(models)):  # one model gains and loses nothing
        outcome = ""
    if not (page.isascii() and page.isdecimal() and 1 <= int(page[:9]) <= 10**8):
        raise InputError(f"page {page[:40]}: give a number from 1.")
    return Filter(models=models, task=task, outcome=outcome, words=words, page=int(page))


def _known(what: str, name: str, known: Sequence[str]) -> str:
    """Return the one of the known names that is shown like this one."""
    match = next((one for one in known if shown_name(one) == shown_name(name)), None)
    if match is None:
        shown = ", ".join(known[:20]) + (" and more" if len(known) > 20 else "")
        raise InputError(f"no {what} {name[:200]}; there are {shown}.{did_you_mean(name[:200], known)}")
    return match


def matches(index: Index, wanted: Filter) -> Matches:
    """Return the items that match, and how many would match under each outcome."""
    found = index.search(wanted.words, wanted.models) if wanted.words else None
    counts = dict.fromkeys(["", *outcomes_for(len(wanted.models))], 0)
    numbers = []
    for task in index.tasks:
        if wanted.task in ("", task.task):
            masks = _masks(task, wanted, found)
            for name in counts:
                counts[name] += int(np.count_nonzero(masks[name]))
            numbers.append(np.flatnonzero(masks[wanted.outcome]) + task.first)
    return Matches(numbers=np.concatenate(numbers) if numbers else np.array([], dtype=np.int64), counts=counts)


def _masks(task: TaskItems, wanted: Filter, found: Mask | None) -> dict[str, Mask]:
    codes, values = task.of(wanted.models)
    shown = (codes & CODE != ABSENT).any(axis=0)
    if found is not None:
        shown &= found[task.first : task.first + task.count]
    if not task.higher_is_better:
        values = -values
    masks = {name: shown & MASKS[name](codes, values) for name in outcomes_for(len(wanted.models))}
    return {"": shown, **masks}

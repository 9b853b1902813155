"""Entailment from statements about classes and from conditionals, decided by enumerating all models."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from harness.suite.generated import LEVELS, Draft, sentence

# ---- classes: all, no, some, some-not ----

TERMS = (
    *("bakers", "swimmers", "gardeners", "painters", "chess players", "violinists", "teachers", "cyclists", "poets"),
    *("sailors", "climbers", "collectors", "dancers", "early risers", "tea drinkers", "pilots", "singers", "farmers"),
)
FORMS = {
    "all": "All {a} are {b}.",
    "no": "No {a} are {b}.",
    "some": "Some {a} are {b}.",
    "some_not": "Some {a} are not {b}.",
}
Statement = tuple[str, int, int]
PATTERNS: dict[int, tuple[tuple[str, ...], ...]] = {  # quantifiers of the premises, by level
    1: (("all", "all"), ("all", "no"), ("some", "all"), ("some", "no")),
    2: (("all", "all", "no"), ("some", "all", "all"), ("some", "all", "no"), ("all", "all", "all")),
    3: (("some", "all", "no", "all"), ("some_not", "all", "all", "no"), ("all", "no", "some", "all")),
}


def syllogism(rng: random.Random, level: int) -> Draft | None:
    """Premises about people of several kinds; which conclusion follows?

    The right answer follows even if a class may be empty; a wrong one does not follow even if none is empty, so that
    the key does not hang on how "all" is read.
    """
    terms = rng.sample(TERMS, 2 + level)
    n = len(terms)
    premises: list[Statement] = []
    for place, form in enumerate(rng.choice(PATTERNS[level])):
        a, b = (place, place + 1) if rng.random() < 0.75 else (place + 1, place)
        premises.append((form, a, b))
    somebody = [("some", t, t) for t in range(n)]
    if not consistent([*premises, *somebody], n):
        return None
    every = [(form, a, b) for form in FORMS for a, b in itertools.permutations(range(n), 2)]
    good = [s for s in every if follows(premises, s, n) and not any(follows([p, *somebody], s, n) for p in premises)]
    bad = [s for s in every if not follows([*premises, *somebody], s, n)]
    if not good:
        return None
    key = rng.choice(good)

    def say(statement: Statement) -> str:
        form, a, b = statement
        return FORMS[form].format(a=terms[a], b=terms[b])

    shown = rng.sample(premises, n - 1)
    used = [say(p) for p in _needed(premises, key, n)]
    return Draft(
        question=" ".join(map(say, shown)) + " Which conclusion follows?",
        correct=say(key),
        wrong=_mixed(rng, [s for s in bad if s not in premises], key, say),
        rationale=f"The premises that matter are: {' '.join(used)} Taken together, they give: {say(key)}",
    )


def _mixed(rng: random.Random, bad: Sequence[Statement], key: Statement, say: Callable[[Statement], str]) -> list[str]:
    """Wrong statements: first those about the key's two classes, which are the most tempting, then others."""
    near = [s for s in bad if {s[1], s[2]} == {key[1], key[2]}]
    far = [s for s in bad if s not in near]
    return [say(s) for s in [*rng.sample(near, min(4, len(near))), *rng.sample(far, min(6, len(far)))]]


def _needed(premises: Sequence[Statement], key: Statement, n: int) -> list[Statement]:
    """Drop premises that the key does not need."""
    kept = list(premises)
    for premise in premises:
        rest = [p for p in kept if p != premise]
        if follows(rest, key, n):
            kept = rest
    return kept


def _possible(premises: Iterable[Statement], n: int) -> list[int]:
    """The kinds of person (bit t set: belongs to class t) that the universal premises leave possible."""
    kinds = list(range(2**n))
    for form, a, b in premises:
        if form in ("all", "no"):
            kinds = [k for k in kinds if not (k >> a & 1 and (k >> b & 1) == (form == "no"))]
    return kinds


def _is(form: str, kind: int, a: int, b: int) -> bool:
    return bool(kind >> a & 1) and (kind >> b & 1) == (form == "some")


def consistent(premises: Sequence[Statement], n: int) -> bool:
    """Return whether some world satisfies all premises."""
    kinds = _possible(premises, n)
    return all(any(_is(f, k, a, b) for k in kinds) for f, a, b in premises if f in ("some", "some_not"))


def follows(premises: Sequence[Statement], conclusion: Statement, n: int) -> bool:
    """Return whether every world that satisfies the premises satisfies the conclusion; classes may be empty.

    A world is the set of kinds of person in it. A universal conclusion fails if a possible kind breaks it, since that
    kind may be present. An existential one holds only if one existential premise forces it whichever kind fulfils it.
    """
    kinds = _possible(premises, n)
    form, a, b = conclusion
    if form in ("all", "no"):
        return not any(k >> a & 1 and (k >> b & 1) == (form == "no") for k in kinds)
    witnesses = [[k for k in kinds if _is(f, k, x, y)] for f, x, y in premises if f in ("some", "some_not")]
    return any(all(_is(form, k, a, b) for k in possible) for possible in witnesses)


# ---- conditionals ----


class Atom(NamedTuple):
    """A simple clause and its denial."""

    yes: str
    no: str


THEMES: tuple[tuple[Atom, ...], ...] = (
    (
        Atom("the river floods", "the river does not flood"),
        Atom("the bridge is closed", "the bridge is not closed"),
        Atom("the bus is late", "the bus is not late"),
        Atom("the school opens late", "the school does not open late"),
        Atom("the market is cancelled", "the market is not cancelled"),
        Atom("the ferry is crowded", "the ferry is not crowded"),
    ),
    (
        Atom("the oven is broken", "the oven is not broken"),
        Atom("the bread is cold", "the bread is not cold"),
        Atom("the cook is angry", "the cook is not angry"),
        Atom("the kitchen is quiet", "the kitchen is not quiet"),
        Atom("the soup is salty", "the soup is not salty"),
        Atom("the waiter is busy", "the waiter is not busy"),
    ),
    (
        Atom("the alarm rings", "the alarm does not ring"),
        Atom("the door is locked", "the door is not locked"),
        Atom("the guard wakes up", "the guard does not wake up"),
        Atom("the lamp is lit", "the lamp is not lit"),
        Atom("the dog barks", "the dog does not bark"),
        Atom("the window is open", "the window is not open"),
    ),
    (
        Atom("the battery is flat", "the battery is not flat"),
        Atom("the pump stops", "the pump does not stop"),
        Atom("the tank is full", "the tank is not full"),
        Atom("the red light flashes", "the red light does not flash"),
        Atom("the valve is shut", "the valve is not shut"),
        Atom("the engine overheats", "the engine does not overheat"),
    ),
    (
        Atom("the choir sings", "the choir does not sing"),
        Atom("the hall is heated", "the hall is not heated"),
        Atom("the concert is sold out", "the concert is not sold out"),
        Atom("the organ is repaired", "the organ is not repaired"),
        Atom("the mayor attends", "the mayor does not attend"),
        Atom("the square is decorated", "the square is not decorated"),
    ),
    (
        Atom("the harvest is good", "the harvest is not good"),
        Atom("the price of apples falls", "the price of apples does not fall"),
        Atom("the barn is full", "the barn is not full"),
        Atom("the farmer hires help", "the farmer does not hire help"),
        Atom("the cider press runs", "the cider press does not run"),
        Atom("the fair takes place", "the fair does not take place"),
    ),
)
Signed = tuple[int, bool]  # an atom, and whether it is affirmed
Rule = tuple[Signed, Signed]
World = tuple[bool, ...]


def conditional(rng: random.Random, level: int) -> Draft | None:
    """Rules and one fact; which further statement must be true?"""
    atoms, rules = _rules(rng, level)
    start = rng.randrange(2)
    # Forwards: the first condition holds. Backwards: the last consequence fails.
    fact = rules[0][0] if start == 0 else (rules[level - 1][1][0], not rules[level - 1][1][1])
    worlds = [w for w in _worlds(rules, len(atoms)) if w[fact[0]] == fact[1]]
    literals = [(i, value) for i in range(len(atoms)) for value in (True, False) if i != fact[0]]
    good = [(i, v) for i, v in literals if all(w[i] == v for w in worlds)]
    open_or_false = [lit for lit in literals if lit not in good]
    if len(good) < level or len(open_or_false) < 3:
        return None
    key = rng.choice(good)
    told = " ".join(_say_rule(rng, atoms, r) for r in rng.sample(rules, len(rules)))
    chain = rules[:level] if start == 0 else [((b, not w), (a, not v)) for (a, v), (b, w) in reversed(rules[:level])]
    reached = [then for _, then in chain]
    path = reached[: reached.index(key) + 1] if key in reached else [key]  # otherwise through the side rule
    steps = ", so ".join(_say(atoms, lit) for lit in [fact, *path])
    backwards = "" if start == 0 else " When what follows from a condition is false, the condition is false too."
    spare = atoms[-1].yes if level < LEVELS else ""
    open_ = f" It is not known whether {spare}." if spare else ""
    return Draft(
        question=f"{told} {sentence(_say(atoms, fact))}{open_} Which statement must be true?",
        correct=sentence(_say(atoms, key)),
        wrong=[sentence(_say(atoms, lit)) for lit in open_or_false],
        rationale=sentence(steps) + backwards,
    )


def contrapositive(rng: random.Random, level: int) -> Draft | None:
    """Rules only; which further rule follows from them?"""
    atoms, rules = _rules(rng, level)
    worlds = _worlds(rules, len(atoms))
    literals = [(i, v) for i in range(len(atoms)) for v in (True, False)]
    candidates = [(a, b) for a, b in itertools.permutations(literals, 2) if a[0] != b[0]]
    implied = [(a, b) for a, b in candidates if all(w[b[0]] == b[1] for w in worlds if w[a[0]] == a[1])]
    good = [rule for rule in implied if rule not in rules]
    bad = [rule for rule in candidates if rule not in implied]
    a, b = key = rng.choice(good)
    if level > 1 and (((b[0], not b[1]), (a[0], not a[1]))) in rules:
        return None  # a single contraposition belongs to level 1
    ends = {a[0], b[0]}
    near = [r for r in bad if {r[0][0], r[1][0]} == ends]
    far = rng.sample([r for r in bad if r not in near], 4) if level > 1 else []
    told = " ".join(_say_rule(rng, atoms, r) for r in rng.sample(rules, len(rules)))
    forwards = a[1] == rules[0][0][1] and a[0] < b[0]
    why = (
        "The rules form a chain, and a chain of rules may be shortened to its two ends."
        if forwards
        else "A rule may be turned round if both of its parts are denied, and so may a chain of rules."
    )
    wrong = [_if(atoms, r) for r in [*near, *far]]
    return Draft(
        question=f"{told} Which rule follows?",
        correct=_if(atoms, key),
        wrong=wrong,
        rationale=f"{why} This gives: {_if(atoms, key)}",
    )


def _rules(rng: random.Random, level: int) -> tuple[list[Atom], list[Rule]]:
    """A chain of `level` rules over atoms 0, 1, ..., on level 3 with a side rule; one atom is unused."""
    atoms = rng.sample(rng.choice(THEMES), (3, 4, 5)[level - 1])
    signs = [rng.random() < 0.75 for _ in atoms]
    rules = [((i, signs[i]), (i + 1, signs[i + 1])) for i in range(level)]
    if level == LEVELS:
        rules.append(((level + 1, signs[level + 1]), (level, signs[level])))
    return atoms, rules


def _worlds(rules: Sequence[Rule], n: int) -> list[World]:
    every = itertools.product((True, False), repeat=n)
    return [w for w in every if all(w[b] == y for (a, x), (b, y) in rules if w[a] == x)]


def _say(atoms: Sequence[Atom], literal: Signed) -> str:
    return atoms[literal[0]].yes if literal[1] else atoms[literal[0]].no


def _if(atoms: Sequence[Atom], rule: Rule) -> str:
    return f"If {_say(atoms, rule[0])}, {_say(atoms, rule[1])}."


def _say_rule(rng: random.Random, atoms: Sequence[Atom], rule: Rule) -> str:
    """A premise, as "if" or, for variety, as "whenever"."""
    text = _if(atoms, rule)
    return text if rng.random() < 0.7 else text.replace("If", "Whenever", 1)

"""Entailment from statements about classes and from conditionals, decided by enumerating all models."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from harness.suite.generated import Draft, Scene, sentence, structure_of

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
    1: tuple(itertools.product(FORMS, repeat=2)),
    2: (("all", "all", "no"), ("some", "all", "all"), ("some", "all", "no"), ("all", "all", "all")),
    3: (("some", "all", "no", "all"), ("some_not", "all", "all", "no"), ("all", "no", "some", "all")),
}


def syllogism(rng: random.Random, level: int) -> Scene:
    """Premises about people of several kinds; which conclusion follows?

    The right answer follows even if a class may be empty; a wrong one does not follow even if none is empty, so
    the answer is the same whether or not "all" implies that the class has members.
    """
    n = 2 + level
    terms = rng.sample(TERMS, n)

    def ask(rng: random.Random) -> Draft:
        premises, good, true = rng.choice(_theories(level))
        key = rng.choice(good)
        order = rng.sample(terms, n)
        told = " ".join(_say_of(order, p) for p in rng.sample(premises, n - 1))
        used = " ".join(_say_of(order, p) for p in _needed(premises, key, n))
        answer = _say_of(order, key)
        return Draft(
            question=f"{told} {READ} Which conclusion follows?",
            answer=answer,
            rationale=f"The premises that matter are: {used} Taken together, they give: {answer}",
            structure=structure_of(f"{told} {answer}", TERMS),
            claim=answer,
            accepts={_say_of(order, s) for s in true}.__contains__,
        )

    return ask


# The question has all the words of a choice, so that the words in common do not show which choice goes with it.
READ = 'Read "all", "some", "no" and "are not" strictly.'


class Theory(NamedTuple):
    """A chain of premises, what follows from them if classes may be empty, and what follows if none is.

    Consequences of a single premise are left out of `good`.
    """

    premises: tuple[Statement, ...]
    good: list[Statement]
    true: list[Statement]


@cache
def _theories(level: int) -> list[Theory]:
    """Return all chains of a level from which something follows, without contradictions."""
    turns = itertools.product((False, True), repeat=level + 1)
    theories = [_theory(forms, turned) for forms, turned in itertools.product(PATTERNS[level], turns)]
    return [theory for theory in theories if theory.good]


def _theory(forms: Sequence[str], turned: Sequence[bool]) -> Theory:
    n = len(forms) + 1
    links = enumerate(zip(forms, turned, strict=True))
    premises = tuple((form, i + 1, i) if turn else (form, i, i + 1) for i, (form, turn) in links)
    every = [(form, a, b) for form in FORMS for a, b in itertools.permutations(range(n), 2)]
    if not consistent([*premises, *_somebody(n)], n):
        return Theory(premises, [], [])
    plain = {s for p in premises for s in every if follows([p, *_somebody(n)], s, n)}
    good = [s for s in every if s not in plain and follows(premises, s, n)]
    return Theory(premises, good, [s for s in every if follows([*premises, *_somebody(n)], s, n)])


def _somebody(n: int) -> list[Statement]:
    """No class is empty."""
    return [("some", t, t) for t in range(n)]


def _say_of(terms: Sequence[str], statement: Statement) -> str:
    form, a, b = statement
    return FORMS[form].format(a=terms[a], b=terms[b])


@cache
def _needed(premises: tuple[Statement, ...], key: Statement, n: int) -> list[Statement]:
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


ATOMS = ("a0", "a1", "a2", "a3", "a4", "a5")  # as structures write them


def conditional(rng: random.Random, level: int) -> Scene:
    """Rules and one fact; which further statement must be true?"""
    scene = _atoms(rng, level)

    def ask(rng: random.Random) -> Draft:
        atoms, rules = _rules(rng, scene, level)
        start = rng.randrange(2)
        # Forwards: the first condition holds. Backwards: the last consequence fails.
        fact = rules[0][0] if start == 0 else (rules[level - 1][1][0], not rules[level - 1][1][1])
        true = _facts(rules, fact)
        key = rng.choice([literal for literal in true if literal != fact])
        told = rng.sample(rules, len(rules))
        chain = rules[:level] if start == 0 else [((b, not w), (a, not v)) for (a, v), (b, w) in rules[level - 1 :: -1]]
        reached = [then for _, then in chain]
        steps = ", so ".join(_say(atoms, literal) for literal in [fact, *reached[: reached.index(key) + 1]])
        backwards = "" if start == 0 else " When what follows from a condition is false, the condition is false too."
        return Draft(
            question=f"{_say_rules(rng, atoms, told)} {sentence(_say(atoms, fact))} Which statement must be true?",
            answer=sentence(_say(atoms, key)),
            rationale=sentence(steps) + backwards,
            structure=structure_of(f"{' '.join(map(_shape, told))} a{fact[0]} {fact[1]} a{key[0]} {key[1]}", ATOMS),
            claim=_say(atoms, key),
            accepts={_say(atoms, literal) for literal in true}.__contains__,
        )

    return ask


@cache
def _facts(rules: tuple[Rule, ...], fact: Signed) -> list[Signed]:
    """Return everything that must be true, the fact included."""
    worlds = [w for w in _worlds(rules) if w[fact[0]] == fact[1]]
    return [(i, v) for i in range(len(worlds[0])) for v in (True, False) if all(w[i] == v for w in worlds)]


def contrapositive(rng: random.Random, level: int) -> Scene:
    """Rules only; which further rule follows from them?"""
    scene = _atoms(rng, level)

    def ask(rng: random.Random) -> Draft | None:
        atoms, rules = _rules(rng, scene, level)
        implied = _implied(rules)
        a, b = key = rng.choice([rule for rule in implied if rule not in rules])
        if level > 1 and (((b[0], not b[1]), (a[0], not a[1]))) in rules:
            return None  # a single contraposition belongs to level 1
        told = rng.sample(rules, len(rules))
        forwards = any(a in rule for rule in rules)
        why = (
            "The rules form a chain, and a chain of rules may be shortened to its two ends."
            if forwards
            else "A rule may be turned round if both of its parts are denied, and so may a chain of rules."
        )
        answer = _if(atoms, key)
        return Draft(
            question=f"{_say_rules(rng, atoms, told)} Which rule follows?",
            answer=answer,
            rationale=f"{why} This gives: {answer}",
            structure=structure_of(" ".join(map(_shape, [*told, key])), ATOMS),
            claim=answer,
            accepts={_if(atoms, rule) for rule in implied}.__contains__,
        )

    return ask


def _shape(rule: Rule) -> str:
    (a, x), (b, y) = rule
    return f"if a{a} {x} then a{b} {y}."


def _atoms(rng: random.Random, level: int) -> list[tuple[Atom, bool]]:
    """Draw atoms, and whether the rules affirm them.

    All questions of a scene affirm the same ones, so the words of a question do not show which choice goes with it.
    """
    return [(atom, rng.random() < 0.75) for atom in rng.sample(rng.choice(THEMES), level + 3)]


def _rules(rng: random.Random, scene: Sequence[tuple[Atom, bool]], level: int) -> tuple[list[Atom], tuple[Rule, ...]]:
    """Put the atoms in order: a chain of `level` rules over atoms 0, 1, ... and a rule about the last two."""
    order = rng.sample(scene, len(scene))
    pairs = [*itertools.pairwise(range(level + 1)), (level + 1, level + 2)]
    rules = tuple(((a, order[a][1]), (b, order[b][1])) for a, b in pairs)
    return [atom for atom, _ in order], rules


@cache
def _implied(rules: tuple[Rule, ...]) -> list[Rule]:
    """Return every rule between two atoms that follows."""
    worlds = _worlds(rules)
    literals = [(i, value) for i in range(len(worlds[0])) for value in (True, False)]
    pairs = [(a, b) for a, b in itertools.permutations(literals, 2) if a[0] != b[0]]
    return [(a, b) for a, b in pairs if all(w[b[0]] == b[1] for w in worlds if w[a[0]] == a[1])]


@cache
def _worlds(rules: tuple[Rule, ...]) -> list[World]:
    """Return the truth values of all atoms, which are those of the rules, in every case that the rules allow."""
    n = 1 + max(atom for rule in rules for atom, _ in rule)
    every = itertools.product((True, False), repeat=n)
    return [w for w in every if all(w[b] == y for (a, x), (b, y) in rules if w[a] == x)]


def _say(atoms: Sequence[Atom], literal: Signed) -> str:
    return atoms[literal[0]].yes if literal[1] else atoms[literal[0]].no


def _if(atoms: Sequence[Atom], rule: Rule) -> str:
    return f"If {_say(atoms, rule[0])}, {_say(atoms, rule[1])}."


def _say_rules(rng: random.Random, atoms: Sequence[Atom], rules: Sequence[Rule]) -> str:
    """Premises, with "if" or, for variety, with "whenever"."""
    texts = [_if(atoms, rule) for rule in rules]
    return " ".join(text if rng.random() < 0.7 else text.replace("If", "Whenever", 1) for text in texts)

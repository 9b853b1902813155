"""Answers worked out anew from the text of an item, without the code that made it.

Each solver reads the question with its own patterns, goes over all possibilities or follows the rules that the question
states, and returns the choices that are right.
"""

from __future__ import annotations

import datetime
import itertools
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import analogy_solvers, code_blanks, legal_solvers, science_solvers
from .generators import module

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
NAME = r"([A-Z][a-z]+)"
LESS = ("shorter", "younger", "lighter", "slower", "poorer", "weaker")
TOP = ("tallest", "oldest", "heaviest", "fastest", "richest", "strongest")
Solver = Callable[[str, Sequence[str]], list[str]]


def _pairs(text: str) -> list[tuple[str, str]]:
    """Comparisons as (higher, lower)."""
    found = re.findall(rf"{NAME} is (\w+) than {NAME}\.", text)
    return [(b, a) if word in LESS else (a, b) for a, word, b in found]


def _orders(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    pairs = list(pairs)
    people = sorted({name for pair in pairs for name in pair})
    orders = itertools.permutations(people)
    return [order for order in orders if all(order.index(a) < order.index(b) for a, b in pairs)]


def order_compare(question: str, _choices: Sequence[str]) -> list[str]:
    orders = _orders(_pairs(question))
    asked = re.search(r"Who is the (?:(\w+) )?(\w+)\?", question)
    assert asked is not None
    rank = ORDINALS.index(asked[1]) if asked[1] else 0
    return sorted({order[rank] if asked[2] in TOP else order[-1 - rank] for order in orders})


def order_must(question: str, choices: Sequence[str]) -> list[str]:
    orders = _orders(_pairs(question))
    return [c for c in choices if all(o.index(a) < o.index(b) for a, b in _pairs(c) for o in orders)]


LINE_CLUES: tuple[tuple[str, Callable[[Mapping[str, int], Sequence[str]], bool]], ...] = (
    (rf"{NAME} is not (?:in the )?(\w+)(?: seat| in the queue)\.", lambda at, g: at[g[0]] != ORDINALS.index(g[1])),
    (rf"{NAME} did not finish (\w+)\.", lambda at, g: at[g[0]] != ORDINALS.index(g[1])),
    (
        rf"{NAME} is (?:in the )?(\w+th|first|second|third) (?:in the queue|seat)\.",
        lambda at, g: at[g[0]] == ORDINALS.index(g[1]),
    ),
    (rf"{NAME} finished (\w+th|first|second|third)\.", lambda at, g: at[g[0]] == ORDINALS.index(g[1])),
    (rf"{NAME} is directly behind {NAME}\.", lambda at, g: at[g[0]] == at[g[1]] + 1),
    (rf"{NAME} finished directly after {NAME}\.", lambda at, g: at[g[0]] == at[g[1]] + 1),
    (rf"{NAME} is in the next seat to the right of {NAME}\.", lambda at, g: at[g[0]] == at[g[1]] + 1),
    (rf"{NAME} is somewhere ahead of {NAME}\.", lambda at, g: at[g[0]] < at[g[1]]),
    (rf"{NAME} finished before {NAME}\.", lambda at, g: at[g[0]] < at[g[1]]),
    (rf"{NAME} sits somewhere to the left of {NAME}\.", lambda at, g: at[g[0]] < at[g[1]]),
    (rf"Exactly one \w+ \w+ between {NAME} and {NAME}\.", lambda at, g: abs(at[g[0]] - at[g[1]]) == 2),
)


def order_line(question: str, choices: Sequence[str]) -> list[str]:
    intro, *sentences, asked = re.findall(r"[^.?]+[.?]", question)
    people = re.findall(NAME, intro.split(" are ")[0].split(" ran ")[0].split(" sit ")[0])
    place = ORDINALS.index(next(word for word in re.findall(r"\w+", asked) if word in ORDINALS))
    clues = []
    for sentence in sentences:
        matches = [(re.fullmatch(pattern, sentence.strip()), test) for pattern, test in LINE_CLUES]
        found = [(match.groups(), test) for match, test in matches if match]
        assert len(found) == 1, f"not read: {sentence}"
        clues.append(found[0])
    answers = set()
    for order in itertools.permutations(people):
        at = {name: i for i, name in enumerate(order)}
        if all(test(at, groups) for groups, test in clues):
            answers.add(order[place])
    return [c for c in choices if c in answers] if len(answers) == 1 else []


def _truth(text: str, speaker: str, knight: Mapping[str, bool]) -> bool:
    """Whether a statement of a knights puzzle is true."""
    names = [name for name in re.findall(NAME, text) if name in knight]
    first: bool = knight[names[0]] if names else False
    if "of us" in text or "We are both" in text:
        return _truth_of_all(text, list(knight.values()))
    if re.fullmatch(rf"{NAME} is a (knight|knave)\.", text):
        return first == text.endswith("knight.")
    if "are of" in text:
        return (first == knight[speaker if "and I" in text else names[1]]) == ("same" in text)
    if text.startswith("At least one of"):
        return not first or not knight[speaker]
    if text.startswith("I am a "):
        return knight[speaker] == text.startswith("I am a knight") and first == text.endswith("knight.")
    if text.startswith("If "):
        return not knight[speaker] or not first if "If I am" in text else not first or knight[names[1]]
    assert text == f"{names[0]} is a knight or I am a knave.", f"not read: {text}"
    return first or not knight[speaker]


def _truth_of_all(text: str, kinds: Sequence[bool]) -> bool:
    if text.startswith("Exactly one of us"):
        return sum(kind == ("knight" in text) for kind in kinds) == 1
    return any(kinds) if text == "At least one of us is a knight." else {"We are both knaves.": not any(kinds)}[text]


def knights(question: str, choices: Sequence[str]) -> list[str]:
    said = re.findall(rf'{NAME} says: "([^"]+)"', question)
    people = [speaker for speaker, _ in said]
    worlds = [dict(zip(people, kinds, strict=True)) for kinds in itertools.product((True, False), repeat=len(people))]
    fit = [w for w in worlds if all(_truth(text, speaker, w) == w[speaker] for speaker, text in said)]
    return [c for c in choices if fit == [{n: kind == "knight" for n, kind in re.findall(rf"{NAME} is a (\w+)", c)}]]


def culprit(question: str, choices: Sequence[str]) -> list[str]:
    said = re.findall(rf'{NAME} says: "([^"]+)"', question)
    number, value = re.findall(r"Exactly (one|two) of these statements (?:is|are) (true|false)\.", question)[0]
    wanted = {"one": 1, "two": 2}[number]

    def true(speaker: str, text: str, guilty: str) -> bool:
        named: set[str] = {speaker} if " me." in text else set(re.findall(NAME, text)) - {"It"}
        return (guilty in named) != ("not" in text.split() or "neither" in text)

    def fits(guilty: str) -> bool:
        return bool(sum(true(speaker, text, guilty) == (value == "true") for speaker, text in said) == wanted)

    suspects = [speaker for speaker, _ in said if fits(speaker)]
    return [c for c in choices if suspects == [c]]


def _class_statement(text: str) -> tuple[str, str, str]:
    m = re.fullmatch(r"(All|No|Some) (.+?) are (not )?(.+)\.", text.strip())
    assert m is not None, f"not read: {text}"
    return m[1] + ("-not" if m[3] else ""), m[2], m[4]


def _holds(statement: tuple[str, str, str], world: Sequence[frozenset[str]]) -> bool:
    form, a, b = statement
    inside = [b in person for person in world if a in person]
    return {"All": all(inside), "No": not any(inside), "Some": any(inside), "Some-not": not all(inside)}[form]


def syllogism(question: str, choices: Sequence[str]) -> list[str]:
    """Look for a world of at most three kinds of person that fits the premises and breaks a choice.

    Three are enough to break any statement of these forms, as the premises hold at most one existential one. Classes
    may be empty, so what is found to follow does so on either reading of "all".
    """
    premises = [_class_statement(text) for text in re.findall(r"[^.]+\.", question) if "Read" not in text]
    terms = sorted({term for _, a, b in premises for term in (a, b)})
    kinds = [frozenset(k) for n in range(len(terms) + 1) for k in itertools.combinations(terms, n)]
    worlds = [w for n in range(3) for w in itertools.combinations(kinds, n) if all(_holds(p, w) for p in premises)]
    return [c for c in choices if all(_holds(_class_statement(c), w) for w in worlds)]


def _denied(clause: str) -> tuple[str, bool]:
    """A clause as its affirmed form's stem and whether it is affirmed: verbs lose their s, "does not" goes."""
    words = clause.strip(" .").lower().split()
    if "not" in words:
        i = words.index("not")
        if words[i - 1] == "does":
            return " ".join(words[: i - 1] + words[i + 1 :]), False
        return " ".join(words[:i] + words[i + 1 :]), False
    return " ".join(words), True


def _same_atom(stem: str, other: str) -> bool:
    """Whether two stems differ at most in the s of one verb."""
    return len(stem.split()) == len(other.split()) and all(
        a == b or a + "s" == b or b + "s" == a or a + "es" == b or b + "es" == a
        for a, b in zip(stem.split(), other.split(), strict=True)
    )


class _Atoms:
    """Numbers for clauses, equal for a clause and its denial."""

    def __init__(self) -> None:
        self.stems: list[str] = []

    def read(self, clause: str) -> tuple[int, bool]:
        stem, affirmed = _denied(clause)
        for i, known in enumerate(self.stems):
            if _same_atom(stem, known):
                return i, affirmed
        self.stems.append(stem)
        return len(self.stems) - 1, affirmed


Rule = tuple[tuple[int, bool], tuple[int, bool]]


def entailed(question: str, choices: Sequence[str]) -> list[str]:
    """What follows from conditionals and facts, by truth tables; choices are facts or conditionals."""
    atoms = _Atoms()

    def read(text: str) -> Rule | tuple[int, bool]:
        m = re.fullmatch(r"(?:If|Whenever) (.+), (.+)\.", text.strip())
        return (atoms.read(m[1]), atoms.read(m[2])) if m else atoms.read(text)

    claims = [read(text) for text in re.findall(r"[^.?]+\.", question) if "not known" not in text]
    readings = [read(choice) for choice in choices]

    def true(claim: Rule | tuple[int, bool], world: Sequence[bool]) -> bool:
        first, second = claim
        if isinstance(first, tuple) and isinstance(second, tuple):
            return world[first[0]] != first[1] or world[second[0]] == second[1]
        assert isinstance(first, int)
        return world[first] == second

    worlds = [
        world
        for world in itertools.product((True, False), repeat=len(atoms.stems))
        if all(true(claim, world) for claim in claims)
    ]
    return [c for c, claim in zip(choices, readings, strict=True) if all(true(claim, w) for w in worlds)]


def exceptions(question: str, choices: Sequence[str]) -> list[str]:
    """Read liberally: a choice stands when its verdict is right and the case is as it says of the sections it names.

    Which sentences meet a condition is looked up in the statute; the rest is read from the text.
    """
    law, case = question.split(" Case: ")
    statutes = module("legal", "exceptions").STATUTES
    statute = next(s for s in statutes if f"Section 1: {s.rule}" in law)
    name = case.split()[0]
    last = max(map(int, re.findall(r"Section (\d+):", law)))
    holds = {1: any(f"{name} {deed}." in case for deed in statute.covered)}
    for section in range(2, last + 1):
        facts = statute.chain[section - 2].met
        holds[section] = any(fact.format(n=name) in case for fact in facts)
    effect = holds[1]
    for section in range(2, last + 1):  # the first that does not hold leaves what stands before it
        if not all(holds[k] for k in range(1, section + 1)):
            break
        effect = not effect

    def stands(choice: str) -> bool:
        if (" must " in choice) != effect:
            return False
        if "does not cover" in choice:
            return not holds[1]
        cited = int(re.findall(r"section (\d+) applies", choice)[0])
        return holds[cited] and not holds.get(cited + 1, False)

    return [choice for choice in choices if stands(choice)]


def later_act(question: str, choices: Sequence[str]) -> list[str]:
    acts = re.findall(r"Act (\d{4}), in force from 1 January (\d{4}), sets .+? at (\d+) crowns", question)
    gone = dict(re.findall(r"Act (\d{4}) was repealed, and lost its force, on 31 December (\d{4})", question))
    asked = re.search(r"In \w+ (\d{4})", question)
    assert asked is not None
    year = int(asked[1])
    live = [(int(p), x) for p, start, x in acts if int(start) <= year <= int(gone.get(p, 9999))]
    return [c for c in choices if c == f"{max(live)[1]} crowns"]


def time_limit(question: str, choices: Sequence[str]) -> list[str]:
    """Step from day to day, as a clerk with a calendar would."""
    days = int(re.findall(r"within (\d+) days", question)[0])
    if "lives abroad. What" in question:
        days += int(re.findall(r"the time is (\d+) days longer", question)[0])
    weekday, day = re.findall(r"on (\w+day) (\d+ \w+ \d{4})\.", question)[0]
    today = datetime.datetime.strptime(day, "%d %B %Y").date()
    assert today.strftime("%A") == weekday
    for _ in range(days):
        today += datetime.timedelta(days=1)
    while "Saturday or a Sunday" in question and today.strftime("%A") in ("Saturday", "Sunday"):
        today += datetime.timedelta(days=1)
    return [c for c in choices if c == f"{today.day} {today:%B}"]


def penalty(question: str, choices: Sequence[str]) -> list[str]:
    law, case = question.split("Case:")
    amount = int(re.findall(r"pays a fine of (\d+) crowns", law)[0])
    if "months ago" in case:
        amount *= 2
    if "halved" in law and int(re.findall(r"aged (\d+)", case)[0]) < 18:
        amount //= 2
    if cap := re.findall(r"no fine is higher than (\d+)", law):
        amount = min(amount, int(cap[0]))
    if "paid within a week" in law and "after three days" in case:
        amount -= 10
    return [c for c in choices if c == f"{amount} crowns"]


def states(question: str, choices: Sequence[str]) -> list[str]:
    points = {
        name: (int(m), int(b)) for name, m, b in re.findall(r"([a-z ]+?) (-?\d+) and (-?\d+)", question.split("?")[0])
    }
    temperatures = [int(t) for t in re.findall(r"(-?\d+) °C", question)]
    points = {name.strip(): value for name, value in points.items()}

    def state(name: str, t: int) -> str:
        melts, boils = points[name]
        return "solid" if t < melts else "liquid" if t < boils else "gas"

    def fits(name: str) -> bool:
        found = [state(name, t) for t in temperatures]
        if "boils when" in question:
            return found[0] != "gas" and found[1] == "gas"
        if "melts but" in question:
            return found == ["solid", "liquid"]
        wanted = re.findall(r"Which of them is (?:a )?(\w+)", question)[0]
        return set(found) == {wanted}

    return [c for c in choices if fits(c)]


def printed(question: str, choices: Sequence[str]) -> list[str]:
    """Run the program of the question (the suite's own text)."""
    lines: list[str] = []
    code = question.split("\n\nWhat does this program print?")[0]
    exec(code, {"print": lambda *values: lines.append(" ".join(str(v) for v in values))})  # noqa: S102
    return [c for c in choices if c == " ".join(lines)]


def _space(question: str) -> dict[str, object]:
    space: dict[str, object] = {}
    exec(question.split("\n\nW")[0], space)  # noqa: S102 - the suite's own text
    return space


def returned(question: str, choices: Sequence[str]) -> list[str]:
    call = re.findall(r"What does (.+) return\?$", question)[0]
    return [c for c in choices if c == repr(eval(call, _space(question)))]  # noqa: S307 - the suite's own text


def which_call(question: str, choices: Sequence[str]) -> list[str]:
    target = re.findall(r"Which call returns (.+)\?$", question)[0]
    return [c for c in choices if repr(eval(c, _space(question))) == target]  # noqa: S307 - the suite's own text


def _doing_the_same(question: str) -> set[str]:
    """Descriptions of the family's functions that do for many arguments what the function in the question does.

    The bodies behind the descriptions are those of the suite; whether two of them ever differ is found by running them.
    """
    source = re.findall(r"def .+?(?=\n\n)", question, re.DOTALL)[0]
    name, argument = re.findall(r"def (\w+)\((\w+)\)", source)[0]
    functions, running, rng = module("code_qa", "functions"), module("code_qa", "running"), random.Random(0)
    same = set()
    for family in functions.FAMILIES:
        arguments = [family.make(rng) for _ in range(40)] if family.argument == argument else []
        for says, body in family.variants if arguments else ():
            for values in itertools.product(*(functions.PARAMETERS[k] for k in re.findall(r"{(\w+)}", says)[:1])):
                key = dict(zip(re.findall(r"{(\w+)}", says), values, strict=False))
                text, code = (re.sub(r"{(k|m|c|w|ch)}", lambda m: str(key[m[1]]), t) for t in (says, body))  # noqa: B023
                other = f"def {name}({argument}):\n    " + code.replace("\n", "\n    ")
                if all(_outcome(running, source, name, a) == _outcome(running, other, name, a) for a in arguments):
                    same.add(text)
    return same


def _outcome(running: Any, source: str, name: str, argument: Any) -> str:
    try:
        return repr(running.returned(source, name, argument))
    except (TypeError, AttributeError, ValueError) as error:  # a function of another family
        return type(error).__name__


def described(question: str, choices: Sequence[str]) -> list[str]:
    same = _doing_the_same(question)
    return [c for c in choices if c.removeprefix("It ").removesuffix(".") in same]


def queried(question: str, choices: Sequence[str]) -> list[str]:
    same = _doing_the_same(question)
    wanted = re.findall(r"Query: a function that (.+)\.\n", question)[0]
    answers = [(c, *re.findall(r"(Yes|No), it (.+)\.$", c)[0]) for c in choices]
    return [c for c, verdict, says in answers if says in same and (verdict == "Yes") == (wanted in same)]


SOLVERS: dict[str, dict[str, Solver]] = {
    "logic": {
        "order_compare": order_compare,
        "order_line": order_line,
        "order_must": order_must,
        "syllogism": syllogism,
        "conditional": entailed,
        "contrapositive": entailed,
        "knights": knights,
        "culprit": culprit,
    },
    "legal": {
        "exceptions": exceptions,
        "later_act": later_act,
        "special": legal_solvers.special,
        "court": legal_solvers.court,
        "penalty": penalty,
        "inheritance": legal_solvers.inheritance,
        "time_limit": time_limit,
        "contract": legal_solvers.contract,
    },
    "science": {
        "motion": science_solvers.motion,
        "states": states,
        "density": science_solvers.density,
        "food_chain": science_solvers.food_chain,
        "circuit": science_solvers.circuit,
        "punnett": science_solvers.punnett,
        "work": science_solvers.work,
        "atom": science_solvers.atom,
        "reaction": science_solvers.reaction,
        "planets": science_solvers.planets,
        "acidity": science_solvers.acidity,
        "units": science_solvers.units,
    },
    "analogy": dict.fromkeys(module("analogy", "tables").TABLES, analogy_solvers.analogy),
    "code_qa": {
        "describe": described,
        "query": queried,
        "blank": code_blanks.blank,
        "prints_numbers": printed,
        "prints_text": printed,
        "prints_collections": printed,
        "returns": returned,
        "which_call": which_call,
    },
}

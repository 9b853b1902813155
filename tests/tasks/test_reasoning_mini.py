"""The embedded suite: the same everywhere, its keys right, its splits apart."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from harness.suite import generated
from harness.suite.code_filter import run_tests
from harness.suite.generated import GeneratedItem, Problem

from .generators import CHOICE_DOMAINS, DOMAINS, SUITE, items, module, problems, stream, train_stream
from .solvers import SOLVERS
from .structures import structure

TEST = generated.TEST_ITEMS
CHANCE = 1 / generated.CHOICES

# Content is frozen per version. When a digest changes on purpose, raise `version` in the domain's YAML files with it.
DIGESTS: dict[str, tuple[int, str]] = {
    "logic": (2, "796b3394db084b8a"),
    "legal": (3, "d2c3bfe6bbe39a89"),
    "science": (2, "732dec46fe611896"),
    "analogy": (2, "d26e8d76733042a6"),
    "code_qa": (2, "41c586cdfe45063d"),
    "code_gen": (1, "cf37aa7f6b032c79"),
}


def digest_of(made: Sequence[Any]) -> str:
    """Digest of the fields of `made`. `DIGESTS` date from when the class was called Item, so repr's prefix is cut."""
    return hashlib.sha256("\n".join(repr(one).removeprefix("Generated") for one in made).encode()).hexdigest()[:16]


def made(domain: str, split: generated.Split, count: int) -> Sequence[Any]:
    return problems(split, count) if domain == "code_gen" else items(domain, split, count)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_content_of_a_version_never_changes(domain: str) -> None:
    version = re.findall(r"version: (\d+)", (SUITE / domain / f"mini_{domain}.yaml").read_text())
    assert (int(version[0]), digest_of(made(domain, "test", TEST))) == DIGESTS[domain]


def test_items_do_not_depend_on_the_process_that_makes_them() -> None:
    code = (
        "from tests.tasks.generators import DOMAINS, stream\n"
        "from tests.tasks.test_reasoning_mini import digest_of\n"
        "print([digest_of(list(stream(domain)('train', 40))) for domain in DOMAINS])"
    )
    here = [digest_of(list(stream(domain)("train", 40))) for domain in DOMAINS]
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert run.stdout.strip() == str(here)


@pytest.mark.parametrize("domain", DOMAINS)
def test_an_item_can_be_made_alone(domain: str) -> None:
    generate = stream(domain)
    assert list(generate("train", 3, start=57)) == list(generate("train", 60))[57:]


@pytest.mark.parametrize("domain", DOMAINS)
def test_there_are_enough_distinct_items_of_every_template_and_level(domain: str) -> None:
    test = made(domain, "test", TEST)
    assert len({item.key for item in test}) == TEST >= 200
    assert len(Counter(item.template for item in test)) >= (20 if domain == "code_gen" else 5)
    assert set(Counter(item.level for item in test)) == {1, 2, 3}


def shared(domain: str, train: Sequence[GeneratedItem | Problem]) -> list[str]:
    """Ids of train items that are a test item, or one with other names."""
    test = made(domain, "test", TEST)
    keys, structures = {item.key for item in test}, {structure(item) for item in test}
    return [item.id for item in train if item.key in keys or structure(item) in structures]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_train_stream_shares_no_item_with_the_test_split_even_with_other_names(domain: str) -> None:
    assert shared(domain, train_stream(domain)) == []


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_20_000_train_items_share_no_item_with_the_test_split_even_with_other_names(domain: str) -> None:
    assert shared(domain, list(stream(domain)("train", 20_000))) == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_two_test_items_differ_in_names_only(domain: str) -> None:
    assert len({structure(item) for item in made(domain, "test", TEST)}) == TEST


@pytest.mark.parametrize("domain", CHOICE_DOMAINS)
def test_choices_are_distinct_and_every_field_is_filled(domain: str) -> None:
    for item in (*items(domain, "test", TEST), *train_stream(domain)):
        assert isinstance(item, GeneratedItem)
        # In code upper and lower case differ; elsewhere choices that differ in case alone would be one choice.
        readings = {choice.strip() if domain == "code_qa" else choice.strip().lower() for choice in item.choices}
        assert len(readings) == generated.CHOICES, item
        assert 0 <= item.answer < generated.CHOICES
        assert all(text == text.strip() != "" for text in (item.question, item.rationale))
        assert all(choice != "" for choice in item.choices)


@pytest.mark.parametrize("domain", CHOICE_DOMAINS)
def test_right_answers_are_equally_frequent_at_every_position(domain: str) -> None:
    places = Counter(item.answer for item in items(domain, "test", TEST))
    chi_square = sum((places[k] - TEST * CHANCE) ** 2 / (TEST * CHANCE) for k in range(generated.CHOICES))
    assert chi_square < 11.34  # the 1% point with 3 degrees of freedom


@pytest.mark.parametrize(
    ("domain", "template"), [(domain, template) for domain, solvers in SOLVERS.items() for template in solvers]
)
def test_an_independent_solver_finds_the_key_and_only_the_key(domain: str, template: str) -> None:
    asked = [item for item in items(domain, "test", TEST) if item.template == template]
    asked += [item for item in items(domain, "train", 400) if item.template == template]
    assert len(asked) >= 40
    for item in asked:
        assert SOLVERS[domain][template](item.question, item.choices) == [item.choices[item.answer]], item


def test_variants_of_a_function_family_really_behave_differently() -> None:
    import random

    functions, running = module("code_qa", "functions"), module("code_qa", "running")
    rng = random.Random(0)
    for family in functions.FAMILIES:
        arguments = [family.make(rng) for _ in range(60)]
        behaviours = []
        for _, body in family.variants:
            for key, options in functions.PARAMETERS.items():
                body = body.replace("{" + key + "}", str(options[0]))
            source = f"def f({family.argument}):\n    " + body.replace("\n", "\n    ")
            behaviours.append(repr([running.returned(source, "f", argument) for argument in arguments]))
        assert len(set(behaviours)) == len(behaviours), family.name


def passes(prompt: str, body: str, tests: str) -> bool:
    space: dict[str, Any] = {}
    try:
        exec(prompt + body, space)  # noqa: S102 - the suite's own text
        exec(tests, space)  # noqa: S102
    except Exception:
        return False
    return True


def test_every_reference_passes_its_tests_and_every_wrong_solution_fails() -> None:
    for problem in (*problems("test", TEST), *problems("train", 100)):
        assert passes(problem.program_prompt, problem.code, problem.tests), problem
        assert not passes(problem.program_prompt, "\n    pass\n", problem.tests), problem
        for wrong in problem.wrong:
            assert not passes(problem.program_prompt, wrong, problem.tests), (problem.id, wrong)


def test_the_example_in_the_documentation_is_true() -> None:
    for problem in problems("test", TEST):
        example = re.search(r">>> (.+)\n    (.+)\n", problem.program_prompt)
        assert example is not None
        assert passes(problem.program_prompt, problem.code, f"assert repr({example[1]}) == {example[2]!r}"), problem


def cases(domain: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((SUITE / domain / "cases.json").read_text(encoding="utf-8"))
    assert len(found) >= 5
    return found


@pytest.mark.parametrize("domain", CHOICE_DOMAINS)
def test_the_oracle_of_a_case_is_the_key_and_the_corrupted_answer_another_choice(domain: str) -> None:
    by_id = {item.id: item for item in items(domain, "test", TEST)}
    for case in cases(domain):
        item = by_id[case["id"]]
        assert item.choices[item.answer] == case["oracle"]
        assert case["corrupted"] in item.choices
        assert case["corrupted"] != case["oracle"]


def test_the_oracle_program_of_a_case_passes_in_the_sandbox_and_the_corrupted_one_fails() -> None:
    by_id = {problem.id: problem for problem in problems("test", TEST)}
    asked = cases("code_gen")
    docs = [generated.as_row(by_id[case["id"]]) for case in asked]
    fenced = [
        f"Here it is:\n```python\n{doc['program_prompt']}{case['oracle']}```"
        for doc, case in zip(docs, asked, strict=True)
    ]
    responses = [[case["oracle"], case["corrupted"], text] for case, text in zip(asked, fenced, strict=True)]
    for result in run_tests(responses, docs):
        assert result["passed"] == [True, False, True], result


def test_lm_eval_loads_the_group_and_every_variant() -> None:
    manager = TaskManager(include_path=[str(SUITE.parent)], include_defaults=False)
    loaded = manager.load(["reasoning_mini"])
    assert set(loaded["tasks"]) == {f"mini_{domain}" for domain in DOMAINS}
    variants = [f"mini_{domain}_{style}" for domain in CHOICE_DOMAINS for style in ("letter", "cot")]
    for name, task in {**loaded["tasks"], **manager.load(variants)["tasks"]}.items():
        docs = list(task.eval_docs)
        assert len(docs) == TEST, name
        assert task.config.metadata["domain"] in DOMAINS
        assert task.config.num_fewshot is None  # so that --num_fewshot works
        zero, two = (task.fewshot_context(docs[0], n) for n in (0, 2))
        assert two.endswith(zero), name
        assert two != zero, name
        assert task.fewshot_context(docs[1], 2).startswith(two.removesuffix(zero)), name


class KnowingLM(LM):  # type: ignore[misc]  # lm-eval has no types
    """Finds the right continuation most likely, and writes the reference, except for every fourth item of a task."""

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        return [(0.0 if (r.idx == r.doc["answer"]) == (r.doc_id % 4 > 0) else -99.0, False) for r in requests]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        return [r.doc["code"] if r.doc_id % 4 else r.doc["wrong"][0] for r in requests]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        raise AssertionError("no task of the suite asks for this")


def test_lm_eval_scores_what_is_right_as_right_and_what_is_wrong_as_wrong() -> None:
    manager = TaskManager(include_path=[str(SUITE.parent)], include_defaults=False)
    tasks = manager.load([f"mini_{domain}" for domain in DOMAINS] + ["mini_logic_letter", "mini_science_cot"])["tasks"]
    results = evaluator.evaluate(KnowingLM(), {"tasks": tasks}, limit=20, bootstrap_iters=0)["results"]
    for name in tasks:
        metric = "pass@1,program" if name == "mini_code_gen" else "acc,none"
        assert results[name][metric] == 15 / 20, (name, results[name])


def test_the_reasoning_of_a_cot_prompt_names_no_letter() -> None:
    for domain in CHOICE_DOMAINS:
        for item in items(domain, "test", TEST):
            assert not re.search(r"\b(?:choice|option|answer) \(?[A-D]\b", item.rationale, re.IGNORECASE), item

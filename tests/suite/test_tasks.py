"""For every task: an oracle gets the top score, a corrupted model what arithmetic says, a guessing one chance."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from harness.data.manifest import all_files
from harness.errors import TaskError
from harness.paths import tasks_dir
from harness.suite.catalogue import Catalogue
from tests.synthetic import COUNTS, FILES

from .scripted_lm import SILENT_EVERY, WRONG_EVERY, ScriptedLM, corrupted, guessing, oracle
from .suites import FETCHED, TASKS, Suite, on_both

RUN_PROGRAMS = {name for name, entry in TASKS.items() if entry.domain == "code_gen"}
METRICS = {name: entry.config["metric_list"] for name, entry in TASKS.items()}
SCORED = sorted(TASKS.keys() - RUN_PROGRAMS)
LIMIT = 60
LIMIT_GUESSING = 300


def evaluate(task: Task, lm: ScriptedLM, limit: int | None) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Run lm-eval's own evaluation; returns the values by metric and the samples."""
    results = evaluator.evaluate(lm, {"tasks": {task.task_name: task}}, limit=limit, bootstrap_iters=0)
    found = results["results"][task.task_name]
    values = {key.split(",")[0]: value for key, value in found.items() if "," in key and "_stderr" not in key}
    return values, results["samples"][task.task_name]


def check_oracle(task: Task, limit: int | None) -> None:
    values, samples = evaluate(task, oracle({task.task_name: task}), limit)
    for metric in ("acc", "acc_norm", "jaccard", "acc_strict", "acc_parsed"):
        assert values.get(metric, 1.0) == 1.0, metric
    assert values.get("unparsed", 0.0) == 0.0
    assert {"acc", "acc_strict"} & values.keys()
    if "acc" in values:
        assert values["gold_logprob"] == pytest.approx(-0.001)
        assert values["bits_per_byte"] > 0
    assert len({sample["doc_id"] for sample in samples}) == min(limit or math.inf, len(task.eval_docs))


@on_both(SCORED)
def test_an_oracle_gets_the_top_score(suite: Suite, name: str) -> None:
    check_oracle(suite.load(name), LIMIT)


@pytest.mark.slow
@on_both(SCORED)
def test_an_oracle_gets_the_top_score_on_every_item(suite: Suite, name: str) -> None:
    check_oracle(suite.load(name), None)


@pytest.mark.parametrize("name", SCORED)
def test_a_corrupted_model_gets_what_arithmetic_says(name: str, synthetic: Suite) -> None:
    task = synthetic.load(name)
    values, samples = evaluate(task, corrupted({name: task}), LIMIT)
    numbers = [sample["doc_id"] for sample in samples]
    silent = {i for i in numbers if i % SILENT_EVERY == 0}
    wrong = {i for i in numbers if i % WRONG_EVERY == 0}
    if "acc" in values:
        assert values["acc"] == pytest.approx(1 - len(wrong) / len(numbers))
    else:
        assert values["unparsed"] == pytest.approx(len(silent) / len(numbers))
        assert values["acc_strict"] == pytest.approx(1 - len(wrong | silent) / len(numbers))
        assert values["acc_parsed"] == pytest.approx(1 - len(wrong - silent) / (len(numbers) - len(silent)))
        assert all(("acc_parsed" in sample) == (sample["doc_id"] not in silent) for sample in samples)


def check_guessing(task: Task, limit: int | None) -> None:
    values, samples = evaluate(task, guessing({task.task_name: task}, seed=1), limit)
    docs = [sample["doc"] for sample in samples]
    chances = [1 / len(doc["subsets"] if "subsets" in doc else doc["choices"]) for doc in docs]
    mean = sum(chances) / len(chances)
    error = math.sqrt(sum(p * (1 - p) for p in chances)) / len(chances)
    assert abs(values["acc"] - mean) <= 3 * error


CHOICE_TASKS = [name for name in SCORED if TASKS[name].config["output_type"] == "multiple_choice"]


@pytest.mark.parametrize("name", CHOICE_TASKS)
def test_a_guessing_model_gets_chance(name: str, synthetic: Suite) -> None:
    check_guessing(synthetic.load(name), LIMIT_GUESSING)


@pytest.mark.slow
@on_both(CHOICE_TASKS)
def test_a_guessing_model_gets_chance_on_every_item(suite: Suite, name: str) -> None:
    check_guessing(suite.load(name), None)


@pytest.mark.parametrize("name", [n for n in SCORED if n.endswith("_cot_gen") and n != "gsm8k_cot_gen"])
def test_a_model_that_guesses_letters_gets_chance_among_the_letters_an_item_has(name: str, synthetic: Suite) -> None:
    """The guesser draws one of seven letters; those an item lacks are no answer."""
    task = synthetic.load(name)
    form = "所以答案是（{}）。" if "推理" in task.config.doc_to_text else "So the answer is ({})."
    values, samples = evaluate(task, guessing({name: task}, seed=2, form=form), LIMIT_GUESSING)
    n = len(samples)
    assert abs(values["acc_strict"] - 1 / 7) <= 3 * math.sqrt(1 / 7 * 6 / 7 / n)
    unread = sum(1 - len(sample["doc"]["letters"]) / 7 for sample in samples) / n
    assert abs(values["unparsed"] - unread) <= 3 * math.sqrt(0.25 / n)


@pytest.mark.parametrize("name", [n for n in SCORED if n.endswith("_subset")])
def test_no_set_of_letters_begins_with_another_as_it_is_scored(name: str, synthetic: Suite) -> None:
    """Or the longer one could never be the likelier for a model that reads letter by letter."""
    task = synthetic.load(name)
    texts = task.doc_to_choice(task.eval_docs[0])
    assert not [(a, b) for a in texts for b in texts if a != b and b.startswith(a)]
    example = task.fewshot_context(task.eval_docs[0], num_fewshot=1)
    assert any(f"{text}\n" in example for text in texts), "the examples end alike"


class _BitPerByte(ScriptedLM):
    """Gives every continuation one bit a byte, without the delimiter before it."""

    def _score(self, request: Instance) -> tuple[float, bool]:
        text = request.args[1].removeprefix(self.tasks[request.task_name].config.target_delimiter)
        return -math.log(2) * len(text.encode()), False


@pytest.mark.parametrize("name", CHOICE_TASKS)
def test_bits_per_byte_are_of_the_text_that_was_scored(name: str, synthetic: Suite) -> None:
    task = synthetic.load(name)
    values, _ = evaluate(task, _BitPerByte({name: task}, lambda *_: 0, lambda *_: ""), LIMIT)
    assert values["bits_per_byte"] == pytest.approx(1.0)


class _ByLength(ScriptedLM):
    """A nat or so a character, drawn for each text, so that length decides and dividing by it decides otherwise."""

    def _score(self, request: Instance) -> tuple[float, bool]:
        text = request.args[1]
        return -len(text) * random.Random(f"{request.doc_id}/{text}").uniform(0.9, 1.1), False


@pytest.mark.parametrize("name", [n for n in CHOICE_TASKS if any(m["metric"] == "acc_norm" for m in METRICS[n])])
def test_acc_norm_divides_by_the_length_of_the_text_that_was_scored(name: str, synthetic: Suite) -> None:
    task = synthetic.load(name)
    values, samples = evaluate(task, _ByLength({name: task}, lambda *_: 0, lambda *_: ""), LIMIT_GUESSING)
    delimiter = task.config.target_delimiter

    def right(sample: dict[str, Any], *, divided: bool) -> bool:
        texts = [argument[1].removeprefix(delimiter) for argument in sample["arguments"]]
        scores = [
            score / (len(text) if divided else 1)
            for (score, _), text in zip(sample["filtered_resps"], texts, strict=True)
        ]
        return bool(scores.index(max(scores)) == sample["doc"]["gold"])

    for metric, divided in (("acc", False), ("acc_norm", True)):
        expected = sum(right(sample, divided=divided) for sample in samples) / len(samples)
        assert values[metric] == pytest.approx(expected), metric


@on_both(TASKS)
def test_the_number_of_evaluated_items_is_that_of_the_definition(suite: Suite, name: str) -> None:
    assert len(suite.load(name).eval_docs) == suite.entries[name].metadata["items"]


BASES = {path.stem.removeprefix("_"): path for path in tasks_dir().glob("*/_*.yaml")}


def metadata_of(base: str) -> dict[str, Any]:
    text = BASES[base].read_text(encoding="utf-8").replace("!function ", "")
    metadata: dict[str, Any] = yaml.safe_load(text)["metadata"]
    return metadata


# Item counts as the data sets' own index gives them: the questions of each file that a task evaluates.
INDEXED = {
    "logiqa_en": 651,
    "logiqa_zh": 651,
    "jec_qa_kd": 1000,
    "jec_qa_ca": 1000,
    "cosqa": 604,
    "mbpp_full": 974,
    "logical_deduction_three": 300,
    "logical_deduction_five": 500,
    "logical_deduction_seven": 700,
    "mbpp_sanitized": 427,
    "mbpp_study": 427,
    "humaneval_python": 164,
    "scienceqa": 1773,
    "mbpp_test": 974,
    "arc_easy": 2376,
    "arc_challenge": 1172,
    "boolq": 3270,
    "openbookqa": 500,
    "strategyqa": 2290,
    "word_analogy_bats": 1799,
    "word_analogy_google": 500,
    "word_analogy_sat": 337,
    "word_analogy_u2": 228,
    "word_analogy_u4": 432,
    "c3_dialogue": 1825,
    "c3_mixed": 1991,
    "ocnli": 3000,
    "gsm8k": 1319,
    "jec_qa_kd_single": 1000,
    "jec_qa_ca_single": 1000,
    "jec_qa_single": 2000,
    "scienceqa_explained": 1773,
    "scienceqa_lectured": 1773,
    "code_output": 974,
    "code_output_choice": 974,
    "hellaswag": 10042,
    "ceval_logic": 22,
    "ekar_en": 262,
    "ekar_zh": 335,
    "scienceqa_full": 21208,
}
UNCOUNTED = {"scienceqa_full_lectured", "scienceqa_full_explained"}  # their number is known once the file is here


@pytest.mark.parametrize("base", sorted(INDEXED))
def test_evaluated_and_left_out_items_add_up_to_the_file(base: str) -> None:
    metadata = metadata_of(base)
    assert metadata["items"] + sum(metadata["left_out"].values()) == INDEXED[base]


@pytest.mark.parametrize("base", sorted(COUNTS))
def test_the_synthetic_file_has_an_item_for_every_reason_to_leave_one_out(base: str) -> None:
    """The items that are left out are those that are neither evaluated nor counted elsewhere: nothing goes unseen."""
    metadata = metadata_of(base)
    items, left_out = COUNTS[base]
    if "left_out" in metadata:
        assert left_out.keys() == metadata["left_out"].keys()
    assert all(left_out.values())
    read = metadata["data"] if base == "jec_qa_single" else metadata["data"][:1]
    assert items + sum(left_out.values()) == sum(questions_in(base, name) for name in read)


def questions_in(base: str, name: str) -> int:
    """How many questions a synthetic file holds, of the set that a definition reads."""
    content = FILES[name]()
    if base.startswith("c3_"):
        return sum(len(questions) for _, questions, _ in content)
    if base.startswith("word_analogy_"):
        return len(content[base.removeprefix("word_analogy_")][1])
    return len(content["examples"] if isinstance(content, dict) and "examples" in content else content)


def test_there_is_a_synthetic_file_for_every_file_that_a_task_reads() -> None:
    assert FILES.keys() == all_files().keys()
    assert all_files().keys() > FETCHED
    assert COUNTS.keys() == INDEXED.keys() | UNCOUNTED


def test_every_base_definition_is_counted() -> None:
    folders = {entry.path.parent for entry in TASKS.values()}
    assert {
        path.stem.removeprefix("_") for folder in folders for path in folder.glob("_*.yaml")
    } == INDEXED.keys() | UNCOUNTED


def test_no_task_has_the_name_of_an_lm_eval_task() -> None:
    theirs = TaskManager().task_index
    assert not [name for name in [*TASKS, "reasoning", "paper", "general"] if name in theirs]


@on_both(SCORED)
def test_fewshot_examples_are_the_first_of_a_split_that_is_not_evaluated(suite: Suite, name: str) -> None:
    task = suite.load(name)
    shown = list(task.fewshot_docs())
    evaluated = {doc["id"] for doc in task.eval_docs}
    assert not {doc["id"] for doc in shown} & evaluated
    if name.endswith("_paper") or name in ("scienceqa_cot", "scienceqa_full_cot"):
        assert shown == []
    else:
        assert list(task.sampler.sample(2, eval_doc=None)) == shown[:2]
        prompts = [task.fewshot_context(task.eval_docs[n], num_fewshot=2) for n in range(2)]
        alone = [task.fewshot_context(task.eval_docs[n], num_fewshot=0) for n in range(2)]
        prefixes = {prompt.removesuffix(last) for prompt, last in zip(prompts, alone, strict=True)}
        assert len(prefixes) == 1, "every item has the same examples before it"
        assert len(prefixes.pop()) > 0


@pytest.mark.parametrize("group", ["reasoning", "paper", "general"])
def test_a_group_loads_with_all_its_tasks(group: str, synthetic: Suite) -> None:
    loaded = synthetic.load_all(group)
    assert loaded.keys() <= TASKS.keys()
    if group == "paper":
        domains = [TASKS[name].domain for name in loaded]
        assert domains == ["logic", "legal", "science", "analogy", "code_qa", "code_gen"]
    if group == "reasoning":
        assert {TASKS[name].domain for name in loaded} == {e.domain for e in TASKS.values()} - {"general"}


@pytest.mark.parametrize("name", ["a/b", "x" * 201, "../up", "é" * 101])
def test_a_task_whose_name_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    text = f"task: {name!r}\ndataset_path: json\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n"
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(TaskError, match=r"t\.yaml: the name .* cannot be part of a file name"):
        Catalogue([tmp_path])

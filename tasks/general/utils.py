"""Loaders of the general tasks, which show negative transfer: reading, inference, common sense, arithmetic."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import read, read_items
from harness.items import Item, choice_item, cluster_of, lettered_requests, named_splits, reserve, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
SHOTS = 5


def c3(data: list[str], **_: Any) -> dict[str, Dataset]:
    """C3's dev questions; few-shot examples from train. A document is ``[lines, questions, id]``."""
    dev, train = ([item for items in read_items(name, HERE, _c3_items) for item in items] for name in data)
    return splits(*(dev, reserve(train, SHOTS)[1]))


def _c3_items(document: Any) -> list[Item]:
    lines, questions, name = document
    return [
        choice_item(
            identity=f"{name}/{n}",
            context="\n".join(lines),
            question=row["question"],
            choices=row["choice"],
            gold=row["choice"].index(row["answer"]),
            cluster=name,
            shared="".join(lines),
        )
        for n, row in enumerate(questions)
        if row["choice"].count(row["answer"]) == 1
    ]


OCNLI_LABELS = ("entailment", "neutral", "contradiction")


def ocnli(data: list[str], **_: Any) -> dict[str, Dataset]:
    """OCNLI's dev pairs with a label; few-shot examples from train, with alternating labels."""
    fields = {"sentence1": str, "sentence2": str, "label": str}
    dev, train = ([_ocnli_item(f"{name}/{n}", row) for n, row in enumerate(read(name, HERE, fields=fields))
                   if row["label"] in OCNLI_LABELS] for name in data)  # fmt: skip
    by_label = [[item for item in train if item["gold"] == gold][:3] for gold in range(3)]
    return splits(dev, [item for turn in zip(*by_label, strict=True) for item in turn])


def _ocnli_item(identity: str, row: dict[str, Any]) -> Item:
    first, second = row["sentence1"], row["sentence2"]
    item = choice_item(
        identity=identity,
        question=f"前提：{first}\n假设：{second}\n由前提看，假设是真的吗？",
        choices=["是", "不一定", "不是"],
        gold=OCNLI_LABELS.index(row["label"]),
        cluster=cluster_of(first),
        shared=second,
    )
    return item | {"premise": first, "marks": ["对", "或", "错"]}


def hellaswag(data: list[str], **_: Any) -> dict[str, Dataset]:
    """HellaSwag's validation items; few-shot examples from train."""
    fields = {"ctx": str, "endings": list, "label": int, "activity_label": str}
    test, train = (
        [_hellaswag_item(f"{name}/{n}", row) for n, row in enumerate(read(name, HERE, fields=fields))] for name in data
    )
    return splits(test, reserve(train, SHOTS)[1])


def _hellaswag_item(identity: str, row: dict[str, Any]) -> Item:
    context, *endings = (_plain(text) for text in (f"{row['activity_label']}: {row['ctx']}", *row["endings"]))
    item = choice_item(
        identity=identity,
        context=context,
        question="What happens next?",
        choices=endings,
        gold=row["label"],
        cluster=str(row.get("source_id", "")),
        shared=context,
    )
    return item | {"stem": context}


def _plain(text: str) -> str:
    """Remove WikiHow's marks ([title], [step], ...) and repeated spaces."""
    return re.sub(r"\s+", " ", re.sub(r"\[.*?\]", " ", text)).strip()


def boolq(data: list[str], shots: int = SHOTS, **_: Any) -> dict[str, Dataset]:
    """BoolQ: yes/no questions about a passage; test and few-shot items from one file."""
    fields = {"query": str, "choices": list, "gold": int}
    return splits(*reserve([_boolq_item(n, row) for n, row in enumerate(read(data[0], HERE, fields=fields))], shots))


def _boolq_item(number: int, row: dict[str, Any]) -> Item:
    passage, question = row["query"].removeprefix("Passage: ").rsplit("\nQuestion: ", 1)
    return choice_item(
        identity=f"boolq/{number}",
        context=passage,
        question=question,
        choices=row["choices"],
        gold=row["gold"],
        cluster=cluster_of(passage),
        shared=passage.strip(),
    )


def openbookqa(data: list[str], **_: Any) -> dict[str, Dataset]:
    """OpenBookQA's test file; few-shot examples from the train split's request file."""
    fields = {"query": str, "choices": list, "gold": int}
    test = [
        choice_item(identity=f"openbookqa/{n}", question=row["query"], choices=row["choices"], gold=row["gold"])
        for n, row in enumerate(read(data[0], HERE, fields=fields))
    ]
    return splits(test, lettered_requests(read(data[1], HERE, fields={"doc": dict}), SHOTS))


def strategyqa(data: list[str], shots: int = SHOTS, **_: Any) -> dict[str, Dataset]:
    """StrategyQA: yes/no questions with the facts that answer them."""
    items = [
        choice_item(
            identity=f"strategyqa/{n}",
            question=row["input"],
            choices=["yes", "no"],
            gold=0 if row["target_scores"]["Yes"] else 1,
            rationale=row["target"].split(". ", 1)[-1],
        )
        for n, row in enumerate(read(data[0], HERE, fields={"input": str, "target": str, "target_scores": dict}))
    ]
    return splits(*reserve(items, shots))


def gsm8k(data: list[str], **_: Any) -> dict[str, Dataset]:
    """GSM8K: word problems with a worked answer; few-shot examples from train."""
    fields = {"question": str, "answer": str}
    test, train = (
        [_gsm8k_item(f"{name}/{n}", row) for n, row in enumerate(read(name, HERE, fields=fields))] for name in data
    )
    return splits(test, train[:8])


def _gsm8k_item(identity: str, row: dict[str, Any]) -> Item:
    worked, answer = re.sub(r"<<.*?>>", "", row["answer"]).split("####")
    return {"id": identity, "question": row["question"], "rationale": worked.strip(), "answer": answer.strip()}


def hellaswag_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """HellaSwag's validation and train items."""
    fields = {"ctx_a": str, "ctx_b": str, "activity_label": str, "endings": list, "label": int, "source_id": str}
    validation, train = (_with_fields(name, fields) for name in data)
    return named_splits(validation=validation, train=train)


def gsm8k_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """GSM8K's test and train items, with their worked answers as they are."""
    test, train = (_with_fields(name, {"question": str, "answer": str}) for name in data)
    return named_splits(test=test, train=train)


def _with_fields(name: str, fields: dict[str, type]) -> list[Item]:
    rows = enumerate(read(name, HERE, fields=fields))
    return [{"id": f"{name}/{n}", **{field: row[field] for field in fields}} for n, row in rows]


def boolq_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """BoolQ's validation items. The file's passages have no titles."""
    rows = read(data[0], HERE, fields={"query": str, "choices": list, "gold": int})
    return named_splits(validation=[_boolq_as_lm_eval_item(n, row) for n, row in enumerate(rows)])


def _boolq_as_lm_eval_item(number: int, row: dict[str, Any]) -> Item:
    passage, question = row["query"].removeprefix("Passage: ").rsplit("\nQuestion: ", 1)
    return {
        "id": f"boolq/{number}",
        "passage": passage,
        "question": question.removesuffix("?"),
        "label": row["gold"],
        "cluster": cluster_of(passage),
    }

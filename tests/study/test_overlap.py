"""A run searches what each arm was trained on, and its reports leave out what it finds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import study_work
from harness.errors import InputError
from harness.study.commands import Commands
from harness.study.experiment import read_experiment
from harness.study.folder import StudyFolder
from harness.study.graph import build_graph
from harness.study.nodes import Graph, Node
from tests.conftest import HarnessCommand
from tests.study.leaking import WORDS, leaking_experiment


@pytest.fixture
def experiment(tmp_path: Path, own_cache: Path) -> dict[str, Any]:
    """Two arms of a tiny model, without and with a source that holds a test item, lightly reformatted."""
    return leaking_experiment(tmp_path)


@pytest.fixture
def graph_of(experiment: dict[str, Any], tmp_path: Path) -> Callable[[], Graph]:
    def build() -> Graph:
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump(experiment, sort_keys=False))
        return build_graph(read_experiment(path))

    return build


def _node(graph: Graph, label: str) -> Node:
    return next(node for node in graph.values() if node.label == label)


def test_each_arm_is_searched_with_its_seeds_and_ancestors(
    experiment: dict[str, Any], graph_of: Callable[[], Graph], tmp_path: Path
) -> None:
    base = experiment["stages"]["base"]
    base["seed"] = "{seed}"
    experiment["factors"] |= {"tune": {"N": 0, "C": 1}, "seed": [0, 1]}
    mixture = {"weights": {"text": 1, "code": "{tune}"}}
    experiment["stages"]["tuned"] = {
        "stage": "sft", "from": "base", "data": {**base["data"], "mixture": mixture}, "trainer": base["trainer"],
    }  # fmt: skip
    experiment["evaluate"]["stages"] = ["tuned"]
    experiment |= {"overlap": {"min_share": 0.7}, "compare": {"stage": "tuned", "contrasts": [["NC", "NN"]]}}
    graph = graph_of()
    searches = [node.label for node in graph.values() if node.kind == "overlap"]
    assert searches == [f"overlap-tuned-{arm}" for arm in ("N-N", "N-C", "C-N", "C-C")]
    node = _node(graph, "overlap-tuned-N-C")
    assert [graph[key].label for key in node.parents] == ["base-N-0", "tuned-N-C-0", "base-N-1", "tuned-N-C-1"]
    folder = StudyFolder(tmp_path / "out")
    words = Commands(graph, folder).of([node], {})
    places = [str(folder.checkpoint(graph[key])) for key in node.parents]
    include = experiment["evaluate"]["flags"]["include_path"]
    options = ["--tasks", "t_choice", "--include_path", include, "--min_share", "0.7"]
    assert words == ["overlap", *places, *options, "--output_path", str(folder.of(node.key) / "overlap.json")]
    # A page reads the searches of the arms that it shows.
    page = _node(graph, "compare-NC-NN")
    read = [key for key in page.parents if graph[key].kind == "overlap"]
    assert sorted(graph[key].label for key in read) == ["overlap-tuned-N-C", "overlap-tuned-N-N"]
    results: dict[str, list[str]] = {key: [] for key in page.parents}
    words = Commands(graph, folder).of([page], results)
    files = [words[at + 1] for at, word in enumerate(words) if word == "--overlap"]
    assert files == [str(folder.of(key) / "overlap.json") for key in read]


def test_a_search_is_repeated_for_other_tasks_or_items_only(
    experiment: dict[str, Any], graph_of: Callable[[], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def searches() -> set[str]:
        return {key for key, node in graph_of().items() if node.kind == "overlap"}

    before = searches()
    flags = experiment["evaluate"]["flags"]
    flags["limit"] = flags["num_fewshot"] = 1
    monkeypatch.setattr("harness.study.evaluations.scoring_versions", lambda: {"torch": "0.0"})
    assert searches() == before
    file = Path(flags["include_path"]) / "choice.yaml"
    file.write_text(file.read_text() + "# changed\n")
    changed = searches()
    assert not changed & before
    experiment["evaluate"]["tasks"] = ["t_choice", "t_generate"]
    assert not searches() & changed


def test_overlap_false_searches_nothing(experiment: dict[str, Any], graph_of: Callable[[], Graph]) -> None:
    experiment["overlap"] = False
    assert {node.kind for node in graph_of().values()} == {"train", "evaluate", "report"}


@pytest.mark.parametrize(
    ("overlap", "message"),
    [
        ({"tasks": "t"}, "tasks cannot be given"),
        ("yes", "overlap"),
        ({"format": "csv"}, "format cannot be given"),
        ({"output-path": "x"}, "output_path cannot be given"),
    ],
)
def test_options_that_the_experiment_sets_are_refused(
    experiment: dict[str, Any], graph_of: Callable[[], Graph], overlap: object, message: str
) -> None:
    experiment["overlap"] = overlap
    with pytest.raises(InputError, match=message):
        graph_of()


@pytest.mark.parametrize(
    ("overlap", "message"),
    [
        ({"min_share": 70}, "overlap: --min_share 70.0: give a share of an item's n-grams, from 0 to 1"),
        ({"ngram-words": 2}, "overlap: --ngram_words 2: shorter n-grams stand in any text; give 5 or more"),
    ],
)
def test_values_that_the_search_would_refuse_are_refused_before_training(
    experiment: dict[str, Any], tmp_path: Path, overlap: dict[str, Any], message: str
) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment | {"overlap": overlap}, sort_keys=False))
    with pytest.raises(InputError, match=re.escape(message)):
        study_work._graph(path, read_experiment(path))


@pytest.mark.slow
def test_a_leak_is_named_and_left_out_of_the_report(
    experiment: dict[str, Any], harness_command: HarnessCommand, tmp_path: Path
) -> None:
    """Through the whole run, with a packed stage and one that is not; the test above is its reduced twin."""
    base = experiment["stages"]["base"]
    text = {"text": {"path": str(tmp_path / "tune.jsonl"), "format": "completion"}}
    (tmp_path / "tune.jsonl").write_text(
        "".join(
            json.dumps({"prompt": " ".join(WORDS[:k]), "completion": " ".join(WORDS[k:])}) + "\n" for k in range(3, 9)
        )
    )
    experiment["stages"]["tuned"] = {
        "stage": "sft", "from": "base", "seed": 1, "data": {"budget_tokens": 500, "sources": text},
        "trainer": base["trainer"],
    }  # fmt: skip
    experiment |= {"compare": {"stage": "tuned"}, "evaluate": experiment["evaluate"] | {"stages": ["tuned"]}}
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    out = tmp_path / "out"
    done = harness_command("run", tmp_path / "experiment.yaml", "--output_path", out, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    found = {}
    for node in json.loads((out / "study.json").read_text())["nodes"]:
        if node["kind"] == "overlap":
            content = json.loads((out / "nodes" / node["key"] / "overlap.json").read_text())
            found[node["label"]] = content["tables"]["items"]
    assert found["overlap-tuned-N"] == []
    (item,) = found["overlap-tuned-C"]
    assert (item["task"], item["item"], item["source"].endswith("code")) == ("t_choice", "3", True)
    assert "code.jsonl" in item["where"]
    page = Path(done.stdout.splitlines()[-1]).read_text()
    assert "Difference by task, without overlapping items" in page
    header, _, _ = page.partition("</header>")
    assert "Each run was trained on 2,4" in header
    assert "Caution" not in header
    assert str(tmp_path) not in header

"""The graph follows the experiment: what changed gets a new key, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from harness import versions
from harness.cli.study_work import _wanted
from harness.errors import InputError
from harness.reports.analysis.design import level_name, read_design, read_factors
from harness.reports.analysis.metric import BITS, GOLD
from harness.reports.analysis.yaml_file import Place
from harness.study.design import TAKEN_NAMES
from harness.study.experiment import read_experiment
from harness.study.folder import StudyFolder
from harness.study.graph import build_graph
from harness.study.nodes import Graph, Report, nodes_of
from harness.study.reporting import COMPUTED_METRICS
from tests.study.conftest import Study


@pytest.fixture
def graph_of(study: Study, own_cache: Path) -> Callable[[], Graph]:
    return lambda: build_graph(read_experiment(study.path))


def _keys(graph: Graph, stage: str) -> set[str]:
    return {key for key, node in graph.items() if node.stage == stage and node.kind == "train"}


def test_a_stage_is_trained_once_for_all_levels_of_a_factor_that_it_does_not_use(
    graph_of: Callable[[], Graph],
) -> None:
    graph = graph_of()
    assert [node.label for node in graph.values() if node.stage == "base"] == [
        "base-N-0", "base-N-1", "base-C-0", "base-C-1",
    ]  # fmt: skip
    assert len(_keys(graph, "tuned")) == 8
    tuned = next(node for node in graph.values() if node.label == "tuned-C-N-1")
    assert [graph[parent].label for parent in tuned.parents] == ["base-C-1"]
    assert [node.kind for node in graph.values()].count("evaluate") == 8


def test_a_renamed_stage_and_an_edited_comment_change_no_key(study: Study, graph_of: Callable[[], Graph]) -> None:
    before = graph_of()
    study.fields["stages"]["renamed"] = study.fields["stages"].pop("tuned")
    study.fields["evaluate"]["stages"] = ["renamed"]
    study.write({"compare": {"stage": "renamed"}})
    study.path.write_text("# a comment\n" + study.path.read_text())
    assert set(graph_of()) == set(before)


def test_a_renamed_stage_changes_the_pages_that_show_its_name_and_nothing_else(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    study.fields["evaluate"]["stages"] = ["base", "tuned"]
    study.write({"compare": {"stage": "tuned", "contrasts": [["NC", "base:N"], ["NC", "NN"]]}})
    before = graph_of()
    study.fields["stages"] = {"root": study.fields["stages"]["base"], "tuned": study.fields["stages"]["tuned"]}
    study.fields["stages"]["tuned"]["from"] = "root"
    study.fields["evaluate"]["stages"] = ["root", "tuned"]
    study.write({"compare": {"stage": "tuned", "contrasts": [["NC", "root:N"], ["NC", "NN"]]}})
    assert [node.label for key, node in graph_of().items() if key not in before] == ["compare-NC-root_N"]


def test_a_renamed_stage_whose_fields_change_later_is_the_same_study(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    study.fields["stages"] = {"base": {"stage": "fake", "rate": 1}}
    study.write({"factors": {}, "evaluate": [], "compare": None})
    folder = StudyFolder(study.folder / "out")
    first = graph_of()
    for node in first.values():
        folder.claim(node, {})
    folder.record("small", {}, first)
    study.fields["stages"] = {"root": {"stage": "fake", "rate": 1}}
    study.write()
    folder.check_experiment("small", {}, graph_of())
    folder.record("small", {}, graph_of())
    study.fields["stages"]["root"]["rate"] = 2
    study.write()
    folder.check_experiment("small", {}, graph_of())
    study.fields["stages"] = {"base": {"stage": "fake", "rate": 3}}  # under its first name, too
    study.write()
    folder.check_experiment("small", {}, graph_of())
    study.fields["stages"] = {"other": {"stage": "fake", "rate": 3}}
    study.write()
    with pytest.raises(InputError, match="holds another experiment"):
        folder.check_experiment("small", {}, graph_of())


def test_a_changed_learning_rate_changes_its_stage_and_descendants_only(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    before = graph_of()
    study.fields["stages"]["tuned"]["learning_rate"] = 0.2
    study.write()
    after = graph_of()
    assert _keys(after, "base") == _keys(before, "base")
    assert not {key for key in before if key not in _keys(before, "base")} & set(after)


def test_a_new_seed_adds_nodes_of_that_seed_only(study: Study, graph_of: Callable[[], Graph]) -> None:
    before = graph_of()
    study.fields["factors"]["seed"].append(2)
    study.write()
    added = [node for key, node in graph_of().items() if key not in before and node.kind != "report"]
    assert len(added) == 2 + 4 + 4
    assert all(node.label.endswith("-2") for node in added)


def test_changed_data_changes_the_stage_that_reads_it(study: Study, graph_of: Callable[[], Graph]) -> None:
    before = graph_of()
    (study.folder / "data.jsonl").write_text('{"text": "another cat"}\n')
    assert not _keys(graph_of(), "base") & _keys(before, "base")


def test_a_changed_task_definition_changes_evaluations_and_reports_only(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    before = graph_of()
    file = study.tasks / "choice.yaml"
    file.write_text(file.read_text().replace("acc_norm", "exact_match"))
    kinds = {node.kind for key, node in graph_of().items() if key not in before}
    assert kinds == {"evaluate", "report"}


def test_a_node_of_two_stages_has_the_first_name_and_is_found_by_both(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    """`quarter` is what `base` is at the level C."""
    study.fields["stages"]["quarter"] = study.fields["stages"]["base"] | {
        "data": {"path": str(study.folder / "data.jsonl"), "code": 1}
    }
    study.fields["evaluate"]["stages"] = ["base", "quarter", "tuned"]
    study.write()
    graph = graph_of()
    assert [node.label for node in graph.values() if node.kind == "train" and node.stage != "tuned"] == [
        "base-N-0", "base-N-1", "base-C-0", "base-C-1",
    ]  # fmt: skip
    assert [node.label for node in nodes_of(graph, "quarter", "train")] == ["quarter-0", "quarter-1"]
    shared = {node.key for node in graph.values() if node.label in ("base-C-0", "base-C-1")}
    for only in ("quarter", "quarter-?", "base-C-*"):
        assert {key for key in _wanted(graph, only) if graph[key].kind == "train"} == shared


def test_an_unknown_node_is_answered_with_the_stages_and_the_nearest_labels(graph_of: Callable[[], Graph]) -> None:
    with pytest.raises(InputError) as refusal:
        _wanted(graph_of(), "tuned-N-D-0")
    assert "no node; give a stage (base, tuned), a label or a glob. Labels like it: " in str(refusal.value)
    assert "tuned-N-C-0" in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_a_placeholder_takes_the_type_of_its_level_and_an_entry_of_it(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    study.fields["factors"]["pretrain"] = {"N": {"share": 0.0, "name": "text"}, "C": {"share": 0.5, "name": "code"}}
    study.fields["stages"]["base"]["data"]["code"] = "{pretrain.share}"
    study.fields["stages"]["base"]["note"] = "{{kept}} {pretrain.name}"
    study.write()
    node = next(node for node in graph_of().values() if node.label == "base-C-0")
    assert node.work.spec["data"]["code"] == 0.5  # type: ignore[union-attr]
    assert node.work.spec["note"] == "{kept} code"  # type: ignore[union-attr]


def test_a_design_names_the_pretraining_run_of_each_run_and_its_evaluation(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    """Also of a stage whose parent is not a pre-training run; `tuned` has two factors, `late` one more stage."""
    study.fields["stages"]["late"] = {"stage": "fake", "from": "tuned", "seed": "{seed}"}
    study.fields["evaluate"]["stages"] = ["base", "late"]
    study.write({"compare": {"stage": "late", "design": ["pretrain", "tune"], "metric": "gold_log_likelihood"}})
    graph = graph_of()
    page = next(node for node in graph.values() if node.label == "design")
    assert isinstance(page.work, Report)
    assert page.work.words == ("compare", "--design", "DESIGN", "--metric", "gold_log_likelihood")
    design = page.work.design or {}
    assert design["factors"] == {"pretrain": ["N", "C"], "tune": ["N", "C"]}
    assert [graph[row["parent"]].label for row in design["runs"]] == [
        f"base-{p}-{s}" for p in "NC" for _ in "NC" for s in "01"
    ]
    assert [graph[row["name"]].label for row in design["parents"]] == ["base-N-0", "base-N-1", "base-C-0", "base-C-1"]
    assert {graph[key].stage for key in page.parents} == {"base", "late"}
    assert "main" not in design


def test_a_design_names_each_evaluated_stage_between_a_run_and_its_pretraining_run(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    study.fields["stages"]["late"] = {"stage": "fake", "from": "tuned", "seed": "{seed}"}
    study.fields["evaluate"]["stages"] = ["base", "tuned", "late"]
    study.write({"compare": {"stage": "late", "design": ["pretrain", "tune"]}})
    graph = graph_of()
    page = next(node for node in graph.values() if node.label == "design")
    assert isinstance(page.work, Report)
    design = page.work.design or {}
    own = {row["name"]: row.get("parent") for row in design["parents"]}
    assert {(graph[key].label, above and graph[above].label) for key, above in own.items()} == {
        *((f"base-{p}-{s}", None) for p in "NC" for s in "01"),
        *((f"tuned-{p}-{t}-{s}", f"base-{p}-{s}") for p in "NC" for t in "NC" for s in "01"),
    }
    assert all(graph[row["parent"]].stage == "tuned" for row in design["runs"])


def test_the_first_two_factors_of_a_design_are_its_main_ones(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["factors"]["share"] = [0, 10, 25]
    study.fields["stages"]["base"]["share"] = "{share}"
    study.write({"compare": {"design": ["share", "tune", "pretrain"]}})
    page = next(node for node in graph_of().values() if node.label == "design")
    assert isinstance(page.work, Report)
    assert (page.work.design or {})["main"] == ["share", "tune"]


def test_a_design_below_one_base_names_the_runs_of_the_stage_at_which_they_differ(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    """The first stage is trained once, with neither factor nor seed; `tuned` varies, and `late` is tuned from it."""
    base = study.fields["stages"]["base"]
    study.fields["stages"] = {
        "base": base | {"data": "data.jsonl", "seed": 0},
        "middle": {"stage": "fake", "from": "base", "data": {"code": "{pretrain}"}, "seed": "{seed}"},
        "late": {"stage": "fake", "from": "middle", "data": {"code": "{tune}"}, "seed": "{seed}"},
    }
    study.fields["evaluate"]["stages"] = ["middle", "late"]
    study.write({"compare": {"stage": "late", "design": ["pretrain", "tune"]}})
    graph = graph_of()
    page = next(node for node in graph.values() if node.label == "design")
    assert isinstance(page.work, Report)
    design = page.work.design or {}
    middle = [f"middle-{p}-{s}" for p in "NC" for s in "01"]
    assert [graph[row["parent"]].label for row in design["runs"]] == [
        f"middle-{p}-{s}" for p in "NC" for _ in "NC" for s in "01"
    ]
    assert [graph[row["name"]].label for row in design["parents"]] == middle


def test_a_factor_with_one_level_is_left_out_of_the_design(
    study: Study, graph_of: Callable[[], Graph], tmp_path: Path
) -> None:
    """As `harness compare` reads the design file."""
    study.fields["factors"]["tune"] = {"C": 1}
    study.write({"compare": {"stage": "tuned", "design": ["pretrain", "tune"]}})
    page = next(node for node in graph_of().values() if node.label == "design")
    assert isinstance(page.work, Report)
    (tmp_path / "design.yaml").write_text(yaml.safe_dump(dict(page.work.design or {})))
    design = read_design(tmp_path / "design.yaml")
    assert design.factors == {"pretrain": ("N", "C")}
    assert [run.cell for run in design.runs] == [("N",), ("N",), ("C",), ("C",)]
    study.fields["factors"]["pretrain"] = {"C": 1}
    study.write()
    with pytest.raises(InputError, match="tuned has one arm only"):
        graph_of()


@pytest.mark.parametrize("name", TAKEN_NAMES)
def test_a_design_has_no_factor_with_a_name_that_compare_refuses(
    name: str, study: Study, graph_of: Callable[[], Graph]
) -> None:
    with pytest.raises(InputError, match="this name is taken"):
        read_factors(Place(path=Path("design.yaml"), lines={}), {"factors": {name: ["N", "C"]}})
    study.fields["factors"][name] = study.fields["factors"].pop("tune")
    study.fields["stages"]["tuned"]["code"] = f"{{{name}}}"
    study.write({"compare": {"stage": "tuned", "design": ["pretrain", name]}})
    with pytest.raises(InputError, match=f"compare.design: '{name}' cannot be a factor of a design; rename it"):
        graph_of()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("revision", date(2024, 5, 1), "stages.base.revision: 2024-05-01 is a date to YAML; quote it"),
        ("weights", {1: 2, "a": 1}, "stages.base.weights.1: the key is a number, not a text; quote it"),
        ("trainer", {True: 2, "a": 1}, "the key is True (YAML reads yes, no, on and off so), not a text"),
        ("trainer", {None: 2, "a": 1}, "stages.base.trainer.None: the key is null, not a text"),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused(field: str, value: object, message: str, study: Study) -> None:
    study.fields["stages"]["base"][field] = value
    study.write()
    with pytest.raises(InputError, match=re.escape(message)):
        read_experiment(study.path)


def test_a_date_in_a_stage_file_is_refused(study: Study) -> None:
    (study.folder / "stage.yaml").write_text("stage: fake\nrevision: 2024-05-01\n")
    study.fields["stages"]["base"]["file"] = "stage.yaml"
    study.write()
    with pytest.raises(InputError, match=r"stage\.yaml: revision: 2024-05-01 is a date to YAML"):
        read_experiment(study.path)


def test_metrics_that_compare_computes_are_known() -> None:
    assert COMPUTED_METRICS == (GOLD, BITS)


def test_a_contrast_of_the_only_two_arms_is_the_comparison_itself(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["factors"]["tune"] = {"C": 1}
    study.write({"compare": {"contrasts": [["C-C", "N-C"]]}})
    with pytest.raises(InputError, match="no arm 'C-C'; arms are NC, CC"):
        graph_of()
    study.write({"compare": {"contrasts": [["CC", "NC"], ["NC", "CC"]]}})
    pages = [node.label for node in graph_of().values() if node.kind == "report"]
    assert pages == ["compare", "compare-NC-CC", "leaderboard"]


def test_several_comparisons_have_pages_of_their_own(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["evaluate"]["stages"] = ["base", "tuned"]
    sections = [
        {"name": "first", "stage": "base"},
        {"name": "second", "stage": "tuned", "design": ["pretrain", "tune"]},
    ]
    study.write({"compare": sections})
    pages = [node.label for node in graph_of().values() if node.kind == "report"]
    assert pages == ["first", "second-design", "second", "leaderboard"]


@pytest.mark.parametrize(
    ("package", "kept"),
    [("stage-harness", set()), ("datasets", set()), ("vllm", {"train"})],
)
def test_another_version_of_what_computes_a_result_changes_it(
    package: str, kept: set[str], graph_of: Callable[[], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = graph_of()
    monkeypatch.setattr(versions, "version", lambda name: "0.0.1.other" if name == package else version(name))
    assert {node.kind for key, node in graph_of().items() if key in before} == kept


def test_levels_that_yaml_reads_as_true_and_false_keep_their_names(study: Study) -> None:
    for levels in ("{no: 0, yes: 1}", "[no, yes]", "{false: 0, true: 1}"):
        study.path.write_text(f"name: a\nfactors: {{code: {levels}}}\nstages: {{base: {{stage: fake}}}}\n")
        assert list(read_experiment(study.path).factors["code"]) == ["no", "yes"] == [*map(level_name, [False, True])]


def test_a_placeholder_in_a_key_is_refused(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["stages"]["base"]["weights"] = {"{{text}}": 1, "code-{pretrain}": 1}
    study.write()
    with pytest.raises(InputError, match=r"stages.base: code-\{pretrain\}: a key is not filled"):
        graph_of()


def test_no_stages_to_evaluate_is_refused(study: Study) -> None:
    """Without `stages`, all are evaluated."""
    study.fields["evaluate"]["stages"] = []
    study.write()
    with pytest.raises(InputError, match=r"evaluate.stages: .*at least 1 item"):
        read_experiment(study.path)


def test_labels_are_names_of_files(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["factors"] = {"pretrain": ["org/a", "org/b"], "tune": {"N": 0}}
    study.fields["stages"]["base"]["seed"] = study.fields["stages"]["tuned"]["seed"] = 0
    study.fields["evaluate"]["name"] = "few/shot"
    study.write({"compare": {"name": "a/b", "stage": "tuned", "contrasts": [["org/a-N", "org/b-N"]]}})
    assert [node.label for node in graph_of().values() if node.kind != "train"] == [
        "few_shot-tuned-org_a-N", "few_shot-tuned-org_b-N", "a_b", "a_b-org_a-N-org_b-N", "leaderboard",
    ]  # fmt: skip


def test_an_arm_is_compared_with_the_arms_of_another_stage(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["evaluate"]["stages"] = ["base", "tuned"]
    study.write({"compare": {"stage": "tuned", "contrasts": [["NC", "base:N"]]}})
    graph = graph_of()
    page = next(node for node in graph.values() if node.label == "compare-NC-base_N")
    assert isinstance(page.work, Report)
    baseline, arm = page.work.words[1:3]
    assert baseline.startswith("base:N=run:")
    assert arm.startswith("NC=run:")
    shown = [graph[key] for key in page.work.checkpoints]
    assert {(node.stage, node.cell["pretrain"]) for node in shown} == {("base", "N"), ("tuned", "N")}


def test_a_name_of_an_own_arm_and_of_a_stage_is_refused_and_stage_and_arm_are_clear(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    study.fields["factors"] = {"tune": {"base": 0, "code": 1}, "seed": [0]}
    study.fields["stages"]["base"]["data"]["code"] = 0
    study.fields["evaluate"]["stages"] = ["base", "tuned"]
    study.write({"compare": {"stage": "tuned", "contrasts": [["code", "base"]]}})
    with pytest.raises(InputError, match=r"'base' names several arms; write tuned:base or base:base\."):
        graph_of()
    study.write({"compare": {"stage": "tuned", "contrasts": [["tuned:code", "tuned:base"], ["code", "base:base"]]}})
    graph = graph_of()
    pages = {node.label: node.work for node in graph.values() if node.label.startswith("compare-")}
    shown = {
        label: {graph[key].label for key in work.checkpoints}
        for label, work in pages.items()
        if isinstance(work, Report)
    }
    assert shown == {
        "compare-tuned_code-tuned_base": {"tuned-code-0", "tuned-base-0"},
        "compare-code-base_base": {"tuned-code-0", "base-0"},
    }


def test_a_comparison_may_name_a_group_of_tasks_as_an_evaluation_may(
    study: Study, graph_of: Callable[[], Graph]
) -> None:
    study.fields["evaluate"]["tasks"] = "t_all"
    study.write({"compare": {"stage": "tuned", "tasks": ["t_all", "t_choice", "t_x*"]}})
    page = next(node for node in graph_of().values() if node.label == "compare")
    assert isinstance(page.work, Report)
    words = list(page.work.words)
    assert words[words.index("--tasks") + 1] == "t_choice,t_generate,t_x*"


def test_stages_without_factors_are_compared_by_name(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["stages"] = {"base": {"stage": "fake"}, "tuned": {"stage": "fake", "from": "base"}}
    study.fields["evaluate"] = {"tasks": "mini_logic"}
    study.write({"compare": {"contrasts": [["tuned", "base"]]}, "factors": {}})
    assert "compare-tuned-base" in [node.label for node in graph_of().values()]


@pytest.mark.parametrize("flag", ["output-path", "dry-run"])
def test_a_flag_with_a_dash_is_the_flag_with_an_underscore(flag: str, study: Study) -> None:
    study.fields["evaluate"]["flags"][flag] = "x"
    study.write()
    with pytest.raises(InputError, match=f"{flag.replace('-', '_')} cannot be given; give `harness run"):
        read_experiment(study.path)


def test_an_average_has_no_saved_states_to_evaluate(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["stages"] = {
        "base": {"stage": "fake"},
        "merged": {"stage": "average", "checkpoints": ["{stages.base}"]},
    }
    study.fields["evaluate"] = {"tasks": "mini_logic", "checkpoints": "all"}
    study.write({"compare": None, "factors": {}})
    evaluated = [node.label for node in graph_of().values() if node.kind == "evaluate"]
    assert evaluated == ["eval-base", "eval-base-states", "eval-merged"]


def test_variants_replace_the_template_in_task_names(study: Study, graph_of: Callable[[], Graph]) -> None:
    study.fields["evaluate"] = {"tasks": "mini_logic_letter", "variants": ["direct", "cot"], "stages": ["base"]}
    study.write({"compare": None})
    node = next(node for node in graph_of().values() if node.kind == "evaluate")
    assert node.work.tasks == ("mini_logic_letter", "mini_logic_cot")  # type: ignore[union-attr]

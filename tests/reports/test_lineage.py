"""The lineage of the models on the page and in chart files: stages, tokens, mixtures, and the value over tokens."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.stage_manifest import LedgerRow, Parent, StageManifest
from harness.records import load
from harness.reports.analysis.lineage_graph import LineageNode, describe, grid_paths, lineage_nodes
from harness.reports.analysis.token_curve import trace_curve
from harness.reports.charts.drawing import SERIES_COLOURS
from harness.reports.charts.lineage import draw_lineage_graph, draw_mixture
from tests.conftest import ROOT
from tests.reports.conftest import Command
from tests.reports.records_for_tests import rows_in

ROOT_DIGEST, FIRST, SECOND = "script:corrupted", "script:uniform", "script:oracle"


def _manifest(name: str, stage: str, parent: str, tokens: int, shares: tuple[tuple[float, float], ...]) -> Any:
    ledger = [
        LedgerRow(phase=phase, source=source, tokens=int(tokens * share), share=share, target_share=share)
        for phase, pair in enumerate(shares, 1)
        for source, share in zip(("text", "code"), pair, strict=True)
    ]
    return StageManifest(
        stage=stage,
        name=name,
        finished=True,
        step=10,
        parents=(Parent(name="parent", source="parent", digest=parent),),
        trainer={"entry_point": "harness.trainers.sft:train"},
        arguments={},
        seed=0,
        spec={},
        mixture={},
        budget_tokens=tokens,
        tokens=tokens,
        sequences=10,
        sources=(),
        ledger=tuple(ledger),
        wall_seconds=1.0,
        started="2025-01-01T00:00:00",
        device="cpu",
    ).to_json()


@pytest.fixture
def chain(runs: Path, tmp_path: Path) -> Path:
    """corrupted -> uniform (2M tokens) -> oracle (1M), recorded as if these scripted models had been trained."""
    root = {"name": "corrupted", "location": "x", "digest": ROOT_DIGEST, "status": "root", "manifest": None}
    first = {**root, "name": "uniform", "digest": FIRST, "status": "verified"}
    first["manifest"] = _manifest("pretrain <code>", "pretrain", ROOT_DIGEST, 2_000_000, ((0.7, 0.3), (0.5, 0.5)))
    second = {**root, "name": "oracle", "digest": SECOND, "status": "verified"}
    second["manifest"] = _manifest("sft-code", "sft", FIRST, 1_000_000, ())
    copy = Path(shutil.copytree(runs, tmp_path / "runs", symlinks=True))
    for model, links in (("uniform", [first, root]), ("oracle", [second, first, root])):
        file = next((copy / model).glob("run_*.json"))
        record = json.loads(file.read_text(encoding="utf-8"))
        record["model"]["lineage"] = links
        file.write_text(json.dumps(record), encoding="utf-8")
    return copy


def test_each_checkpoint_is_one_node_with_its_tokens_since_the_root(chain: Path) -> None:
    nodes = lineage_nodes(load([chain]).models)
    assert [(node.name, node.kind, node.depth, node.total_tokens) for node in nodes] == [
        ("corrupted", "", 0, 0),
        ("pretrain <code>", "pretrain", 1, 2_000_000),
        ("sft-code", "sft", 2, 3_000_000),
    ]
    assert [node.models for node in nodes] == [("corrupted",), ("uniform",), ("oracle",)]
    assert nodes[1].ledger == {1: (("text", 0.7, 0.7), ("code", 0.3, 0.3)), 2: (("text", 0.5, 0.5), ("code", 0.5, 0.5))}


def test_the_page_draws_graph_curve_and_mixture_and_escapes_names(
    chain: Path, command: Command, tmp_path: Path
) -> None:
    code, _, err = command("leaderboard", chain, "--output_path", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    graph = page.split('id="lineage"')[1]
    assert graph.count('class="stage evaluated"') == 3
    assert page.count('class="edge"') >= 2
    assert len(re.findall(r'class="line-\d"', page.split('class="curve"')[1])) == 2
    assert page.count('class="mixture"') == 1
    assert "pretrain &lt;code&gt;" in page
    assert "<code>" not in page.split('id="lineage"')[1].split("</svg>")[0]


def test_charts_for_a_paper_show_lineage_mixtures_and_value_over_tokens(
    chain: Path, command: Command, tmp_path: Path
) -> None:
    code, _, err = command("leaderboard", chain, "--format", "csv", "--charts", tmp_path / "charts")
    assert code == 0, err
    texts = {name: (tmp_path / "charts" / f"{name}.svg").read_text() for name in ("lineage", "mixtures", "tokens")}
    assert all(text.startswith("<svg") for text in texts.values())
    assert "pretrain &lt;code&gt;" in texts["lineage"]
    assert "pretrain 2M tokens" in texts["lineage"]
    shares = [row for row in rows_in(tmp_path / "charts" / "mixtures.vl.json") if "share" in row]
    assert [(row["phase"], row["source"], row["share"]) for row in shares] == [
        (1, "text", 0.7),
        (1, "code", 0.3),
        (2, "text", 0.5),
        (2, "code", 0.5),
    ]
    spots = {row["model"]: row["tokens"] for row in rows_in(tmp_path / "charts" / "tokens.vl.json") if "model" in row}
    assert spots == {"corrupted": 0, "uniform": 2_000_000, "oracle": 3_000_000}


def test_the_page_and_the_chart_files_show_one_drawing(chain: Path, command: Command, tmp_path: Path) -> None:
    code, _, err = command(
        "leaderboard", chain, "--output_path", tmp_path / "page.html", "--charts", tmp_path / "charts"
    )
    assert code == 0, err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name, svg_class, pattern in (
        ("lineage", "graph", r'<rect class="stage[^"]*" x="([^"]+)" y="([^"]+)" width="([^"]+)"'),
        ("mixtures", "mixture", r'<rect class="source-\d" x="([^"]+)" y="([^"]+)" width="([^"]+)"'),
        ("tokens", "curve", r'<circle class="dot-\d" cx="([^"]+)" cy="([^"]+)"()'),
    ):
        drawn = page.split('id="lineage"')[1].split(f'<svg class="{svg_class}"')[1:]
        svg = "".join(one.split("</svg>")[0] for one in drawn)
        on_page = [(float(x), float(y), float(width or 0)) for x, y, width in re.findall(pattern, svg)]
        rows = [row for row in rows_in(tmp_path / "charts" / f"{name}.vl.json") if "tooltip" in row]
        in_chart = [(row["x"], row["y"], row.get("x2", row["x"]) - row["x"]) for row in rows]
        assert len(on_page) >= 3
        assert on_page == [pytest.approx(spot, abs=0.11) for spot in in_chart], name


def test_a_source_has_one_colour_on_the_page_and_on_paper() -> None:
    styles = (ROOT / "reports" / "page" / "templates" / "style.css").read_text(encoding="utf-8")
    for number, colour in enumerate(SERIES_COLOURS):
        assert f".source-{number}, .dot-{number} {{ fill: {colour}; background: {colour}; }}" in styles
        assert f".line-{number} {{ stroke: {colour}; }} .band-{number} {{ fill: {colour}; }}" in styles
    assert f".source-{len(SERIES_COLOURS)} " not in styles


def test_a_source_that_starts_in_a_later_phase_keeps_its_own_colour() -> None:
    ledger = {1: (("text", 1.0, 1.0),), 2: (("code", 0.5, 0.5), ("text", 0.5, 0.5))}
    stage = LineageNode(
        digest="d", name="s", kind="sft", step=None, parents=(), depth=0, tokens=1, total_tokens=1, ledger=ledger,
        models=(),
    )  # fmt: skip
    drawing = draw_mixture(stage, "s")
    assert drawing.legend == {"text": "source-0", "code": "source-1"}
    assert [mark.style for mark in drawing.marks if mark.series == "text"] == ["source-0", "source-0"]


def _averaged(chain: Path, *parents: str) -> None:
    """Make the model `oracle` an average of others, of which no tokens are counted, and `first` a stage of schema 1."""
    for model in ("uniform", "oracle"):
        file = next((chain / model).glob("run_*.json"))
        record = json.loads(file.read_text(encoding="utf-8"))
        for link in record["model"]["lineage"]:
            manifest = link["manifest"]
            if manifest is not None and link["digest"] == SECOND:
                named = [{"name": name, "source": name, "digest": name} for name in parents]
                manifest |= {"stage": "average", "tokens": 0, "parents": named}
            elif manifest is not None:
                (parent,) = manifest.pop("parents")
                manifest |= {"schema_version": 1, "parent": parent}
        file.write_text(json.dumps(record), encoding="utf-8")


def test_an_average_is_joined_to_all_parents_and_has_the_most_tokens_of_them(
    chain: Path, command: Command, tmp_path: Path
) -> None:
    _averaged(chain, FIRST, ROOT_DIGEST, "other", "not recorded")
    file = next((chain / "oracle").glob("run_*.json"))
    record = json.loads(file.read_text(encoding="utf-8"))
    other: dict[str, Any] = {"name": "other", "location": "x", "digest": "other", "status": "verified"}
    other["manifest"] = {**_manifest("other", "pretrain", "", 500_000, ()), "parents": []}
    record["model"]["lineage"].append(other)
    file.write_text(json.dumps(record), encoding="utf-8")
    nodes = lineage_nodes(load([chain]).models)
    assert [(node.name, node.depth, node.total_tokens) for node in nodes] == [
        ("corrupted", 0, 0),
        ("other", 0, 500_000),
        ("pretrain <code>", 1, 2_000_000),
        ("sft-code", 2, 2_000_000),
    ]
    assert nodes[2].parents == (ROOT_DIGEST,), "read from a manifest of schema 1"
    assert describe(nodes[3]) == "average"
    code, _, err = command("leaderboard", chain, "--output_path", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    graph = page.split('id="lineage"')[1]
    assert graph.count('class="edge"') == 2 + 3 + 3, "an edge from a root passes the column between in a row of its own"
    assert len(re.findall(r'class="line-\d"', page.split('class="curve"')[1])) == 2


def _node(name: str, *parents: str, depth: int, tokens: int = 0) -> LineageNode:
    return LineageNode(
        digest=name, name=name, kind="sft", step=None, parents=parents, depth=depth, tokens=1, total_tokens=tokens,
        ledger={}, models=(name,),
    )  # fmt: skip


def test_an_edge_over_several_columns_crosses_no_other_node() -> None:
    nodes = [
        _node("base", depth=0), _node("text", "base", depth=1), _node("code", "base", depth=1),
        _node("later", "text", depth=2), _node("average", "later", "base", "code", depth=3),
    ]  # fmt: skip
    paths = grid_paths(nodes)
    assert paths == {
        (None, "base"): ((0, 0),),
        ("base", "text"): ((0, 0), (1, 0)),
        ("base", "code"): ((0, 0), (1, 1)),
        ("text", "later"): ((1, 0), (2, 0)),
        ("later", "average"): ((2, 0), (3, 0)),
        ("base", "average"): ((0, 0), (1, 2), (2, 1), (3, 0)),
        ("code", "average"): ((1, 1), (2, 2), (3, 0)),
    }
    drawing = draw_lineage_graph(nodes)
    boxes = [mark for mark in drawing.marks if mark.kind == "rect"]
    edges = [mark for mark in drawing.marks if mark.kind == "rule"]
    assert len(edges) == 4 + 5 + 3
    for edge in edges:
        for box in boxes:
            assert edge.x2 is not None
            assert box.x2 is not None
            assert box.y2 is not None
            beside = edge.x2 <= box.x or edge.x >= box.x2
            assert beside or max(edge.y, edge.y2 or 0) < box.y or min(edge.y, edge.y2 or 0) > box.y2
    assert drawing.height > max(mark.y for mark in edges)


def test_the_curve_joins_an_average_to_its_parent_with_the_most_tokens() -> None:
    nodes = [
        _node("early", depth=0, tokens=10), _node("late", depth=0, tokens=30), _node("middle", depth=0, tokens=20),
        _node("average", "early", "late", "middle", depth=1, tokens=30),
        _node("child", "average", depth=2, tokens=40),
    ]  # fmt: skip
    estimates: dict[str, Any] = dict.fromkeys(("early", "late", "middle", "average", "child"))
    assert trace_curve(nodes, estimates)[1] == [("late", "average"), ("average", "child")]
    del estimates["average"], estimates["late"]
    assert trace_curve(nodes, estimates)[1] == [("middle", "child")], "ancestors without a value are skipped"


def test_a_page_without_lineage_has_no_such_section(runs: Path, command: Command, tmp_path: Path) -> None:
    command("leaderboard", runs, "--output_path", tmp_path / "page.html")
    assert 'id="lineage"' not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_model_can_be_named_by_its_stage(chain: Path, command: Command) -> None:
    code, out, err = command("compare", "corrupted", "sft-code", "--runs", chain)
    assert code == 0, err
    assert out.startswith("oracle against corrupted")


def test_the_name_of_a_model_takes_precedence_over_the_name_of_a_stage(chain: Path, command: Command) -> None:
    file = next((chain / "oracle").glob("run_*.json"))
    record = json.loads(file.read_text(encoding="utf-8"))
    record["model"]["lineage"][0]["manifest"]["name"] = "uniform"
    file.write_text(json.dumps(record), encoding="utf-8")
    code, out, err = command("compare", "corrupted", "uniform", "--runs", chain, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["title"] == "uniform against corrupted"


def test_stages_of_the_same_name_get_different_labels(chain: Path, command: Command, tmp_path: Path) -> None:
    for model in ("uniform", "oracle"):
        file = next((chain / model).glob("run_*.json"))
        record = json.loads(file.read_text(encoding="utf-8"))
        for link in record["model"]["lineage"]:
            if link["manifest"] is not None:
                link["manifest"] |= {"name": "same", "ledger": [_ROW]}
        file.write_text(json.dumps(record), encoding="utf-8")
    code, _, err = command("leaderboard", chain, "--format", "csv", "--charts", tmp_path / "charts")
    assert code == 0, err
    shares = [row for row in rows_in(tmp_path / "charts" / "mixtures.vl.json") if "share" in row]
    assert [(row["stage"], row["share"]) for row in shares] == [("uniform", 1.0), ("oracle", 1.0)]


_ROW = {"phase": 1, "source": "text", "tokens": 10, "share": 1.0, "asked_share": 1.0}


def test_a_slope_needs_three_runs(chain: Path, command: Command) -> None:
    code, _, err = command("compare", "corrupted", "uniform", "--runs", chain, "--doses", "0,1")
    assert code == 2
    assert "--doses: 2 runs always lie on one line; compare 3 or more" in err

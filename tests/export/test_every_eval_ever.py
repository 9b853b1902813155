"""Every Eval Ever: both kinds of files fit its schemas, and pass what its validator checks beyond them.

The package every_eval_ever 0.3.0 needs Python 3.12, so its checks are repeated here; `findings_of` follows its
`validation_core`, and `as_its_converter_reads` its lm-eval converter.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.cli import main
from harness.export.every_eval_ever import SCHEMAS, schema
from harness.records import load
from tests.export.conftest import evaluate
from tests.records.older_runs import results, rows, write_flat
from tests.reports.conftest import Command

FILE_NAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(_samples)?\.jsonl?")


def exported(command: Command, runs: Path, out: Path, *words: object) -> dict[Path, dict[str, Any]]:
    """The aggregate files by path."""
    code, stdout, err = command("export", runs, "--format", "every-eval-ever", "--output_path", out, *words)
    assert (code, stdout) == (0, ""), err
    return {path: strict(path.read_text(encoding="utf-8")) for path in sorted(out.rglob("*.json"))}


def strict(text: str) -> Any:
    """Parse JSON without NaN and without repeated keys."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in items}) == len(items)
        return dict(items)

    def constant(name: str) -> Any:
        raise AssertionError(name)

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def samples_of(path: Path) -> list[dict[str, Any]]:
    file = path.with_name(f"{path.stem}_samples.jsonl")
    return [strict(line) for line in file.read_text(encoding="utf-8").splitlines()]


def numbers(node: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Every value in a file with its path."""
    if isinstance(node, dict | list):
        pairs: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in pairs:
            yield from numbers(value, f"{path}.{key}")
    else:
        yield path, node


def findings_of(out: Path, path: Path, data: dict[str, Any]) -> list[str]:
    """The errors and warnings of the validator of every_eval_ever 0.3.0, beyond its schemas."""
    found = []
    parts = path.relative_to(out).parts
    if len(parts) != 5 or parts[0] != "data" or not FILE_NAME.fullmatch(parts[4]):
        found.append(f"path {parts}")
    if any(re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', part) for part in parts[1:4]):
        found.append(f"no portable name in {parts}")
    if data["model_info"]["id"].split("/") != list(parts[2:4]):
        found.append("the model's id and its folder differ")
    detail = data["detailed_evaluation_results"]
    if detail["file_path"] != f"{'/'.join(parts)[: -len('.json')]}_samples.jsonl" or detail["format"] != "jsonl":
        found.append("companion")
    for result in data["evaluation_results"]:
        config, details = result["metric_config"], result["score_details"]
        low, high = (float(config[name]) for name in ("min_score", "max_score"))
        if not low <= details["score"] <= high:
            found.append(f"score {result}")
    return found + [name for name, value in numbers(data) if isinstance(value, float) and not math.isfinite(value)]


def check(out: Path, aggregates: dict[Path, dict[str, Any]]) -> None:
    """Validate all files of an export, and that the two kinds refer to each other."""
    assert aggregates
    for path, data in aggregates.items():
        jsonschema.Draft7Validator(schema("eval")).validate(data)
        assert findings_of(out, path, data) == []
        detail, results = data["detailed_evaluation_results"], data["evaluation_results"]
        file = out / detail["file_path"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == detail["checksum"]
        lines = samples_of(path)
        assert len(lines) == detail["total_rows"]
        ids = [result["evaluation_result_id"] for result in results]
        assert len(set(ids)) == len(ids)
        validator = jsonschema.Draft7Validator(schema("instance_level_eval"))
        for line in lines:
            validator.validate(line)
            assert (line["evaluation_id"], line["model_id"]) == (data["evaluation_id"], data["model_info"]["id"])
            assert line["evaluation_result_id"] in ids


def test_the_schemas_are_those_of_the_package_and_are_valid() -> None:
    for name in ("eval", "instance_level_eval"):
        jsonschema.Draft7Validator.check_schema(schema(name))
    assert (SCHEMAS / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    source = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    for file in SCHEMAS.glob("*.json"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in source


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two of this project's own tasks, whose items are generated."""
    folder = tmp_path_factory.mktemp("built_in")
    words = ["eval", "--backend", "scripted", "--model", "uniform", "--no_cache", "--limit", "20"]
    assert main([*words, "--tasks", "mini_logic,mini_code_qa", "--output_path", str(folder)]) == 0
    return folder


def test_built_in_tasks_are_valid(command: Command, built_in: Path, tmp_path: Path) -> None:
    aggregates = exported(command, built_in, tmp_path / "out")
    assert len(aggregates) == 2
    check(tmp_path / "out", aggregates)


def test_score_interval_and_counts_are_those_of_the_record(command: Command, built_in: Path, tmp_path: Path) -> None:
    record = json.loads(next(built_in.rglob("run_*.json")).read_text(encoding="utf-8"))
    for data in exported(command, built_in, tmp_path / "out").values():
        result = data["evaluation_results"][0]
        ours = record["tasks"][result["evaluation_name"]]
        uncertainty = result["score_details"]["uncertainty"]
        interval = uncertainty["confidence_interval"]
        assert result["score_details"]["score"] == ours["value"]
        assert (interval["lower"], interval["upper"]) == pytest.approx(ours["interval"], abs=1e-12)
        assert (interval["confidence_level"], interval["method"]) == (0.95, ours["interval_method"])
        assert uncertainty["standard_error"]["value"] == pytest.approx(ours["stderr"], rel=1e-9)
        assert uncertainty["num_samples"] == ours["items_scored"] == 20
        assert data["eval_library"]["name"] == "stage-harness"


def test_the_mean_of_an_items_scores_is_the_score_of_each_metric(
    command: Command, built_in: Path, tmp_path: Path
) -> None:
    for path, data in exported(command, built_in, tmp_path / "out").items():
        lines = samples_of(path)
        assert len(lines) == 20 * len(data["evaluation_results"])
        for result in data["evaluation_results"]:
            own = [line for line in lines if line["evaluation_result_id"] == result["evaluation_result_id"]]
            scores = [line["evaluation"]["score"] for line in own]
            assert sum(scores) / len(scores) == pytest.approx(result["score_details"]["score"], rel=1e-9)
        for line in lines:
            assert line["output"]["raw"][0] in line["input"]["choices"]
            assert line["input"]["reference"][0] in line["input"]["choices"]
        right = [line["evaluation"]["is_correct"] for line in lines if line["evaluation_result_id"] == "acc"]
        likely = [line["evaluation"]["is_correct"] for line in lines if line["evaluation_result_id"] == "gold_logprob"]
        assert right == likely, "a log-likelihood is no verdict"


def test_failed_requests_are_counted_and_are_no_item(command: Command, failed_run: Path, tmp_path: Path) -> None:
    code, _, err = command("export", failed_run, "--format", "every-eval-ever", "--output_path", tmp_path)
    assert code == 0, err
    record = json.loads(next(failed_run.rglob("run_*.json")).read_text(encoding="utf-8"))
    for path in tmp_path.rglob("*.json"):
        data = strict(path.read_text(encoding="utf-8"))
        for result in data["evaluation_results"]:
            ours = record["tasks"][path.relative_to(tmp_path).parts[1]]
            details = result["score_details"]["details"]
            assert details["failed_requests"] == str(ours["failed"]) != "0"
            assert details["failed_missing"] == str(ours["failures"]["missing"])
            assert details["items_scored"] == str(ours["items_scored"])
            assert int(details["items"]) > int(details["items_scored"])


def test_tasks_over_local_files_with_other_filters_are_valid_too(command: Command, runs: Path, tmp_path: Path) -> None:
    aggregates = exported(command, runs, tmp_path / "out")
    check(tmp_path / "out", aggregates)
    sources = {path.parts[-4]: data["evaluation_results"][0]["source_data"]["source_type"] for path, data in
               aggregates.items()}  # fmt: skip
    assert sources == {"t_choice": "other", "t_generate": "other", "mini_logic": "other"}


def test_an_older_folder_of_lm_eval_is_exported_too(command: Command, tmp_path: Path) -> None:
    metrics = {"exact_match,strict-match": 0.5, "exact_match,flexible-extract": 1.0, "loss,flexible-extract": 2.5}
    samples = [*rows([1.0, 0.0], "exact_match"), *rows([1.0, 1.0], "exact_match")]
    write_flat(tmp_path / "runs", "t", results("t", metrics), samples)
    aggregates = exported(command, tmp_path / "runs", tmp_path / "out")
    check(tmp_path / "out", aggregates)
    (data,) = aggregates.values()
    ids = {result["evaluation_result_id"]: result["metric_config"] for result in data["evaluation_results"]}
    assert set(ids) == {"exact_match:strict-match", "exact_match:flexible-extract", "loss:flexible-extract"}
    assert (ids["loss:flexible-extract"]["min_score"], ids["loss:flexible-extract"]["max_score"]) == (
        "-Infinity", "Infinity",
    )  # fmt: skip
    assert data["eval_library"] == {"name": "lm_eval", "version": "unknown"}


def test_a_task_may_name_its_source(command: Command, report_tasks: Path, own_cache: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for file in report_tasks.iterdir():
        text = file.read_text(encoding="utf-8")
        named = text.replace("metadata: {", "metadata: {source_url: 'https://example.org/animals', ")
        (tasks / file.name).write_text(named, encoding="utf-8")
    evaluate(tmp_path / "runs", tasks, "--model", "oracle", names="t_all")
    aggregates = exported(command, tmp_path / "runs", tmp_path / "out")
    check(tmp_path / "out", aggregates)
    sources = [result["source_data"] for data in aggregates.values() for result in data["evaluation_results"]]
    assert {tuple(source["url"]) for source in sources} == {("https://example.org/animals",)}


def test_a_model_with_a_lineage_has_its_stages_and_tokens(command: Command, trained: Path, tmp_path: Path) -> None:
    aggregates = exported(command, trained, tmp_path / "out", "--tasks", "clustered")
    (data,) = aggregates.values()
    info = data["model_info"]
    assert info["id"] == "local/SmolLM2-135M-text-20-sft-1a2b3c4d"
    assert info["additional_details"]["stages"] == "SmolLM2-135M > text-20 > sft"
    assert info["additional_details"]["training_tokens"] == "2000"
    assert info["additional_details"]["deployment_type"] == "self_deployed"
    assert info["additional_details"]["model_availability"] == "unknown"
    uncertainty = data["evaluation_results"][0]["score_details"]["uncertainty"]
    assert uncertainty["standard_error"]["method"] == "cluster-robust"
    assert "/home/someone" not in json.dumps(data)


def test_a_model_id_is_used_everywhere(command: Command, trained: Path, tmp_path: Path) -> None:
    aggregates = exported(command, trained, tmp_path / "out", "--model_id", "lab/code-sft")
    for path, data in aggregates.items():
        assert path.relative_to(tmp_path / "out").parts[2:4] == ("lab", "code-sft")
        assert (data["model_info"]["id"], data["model_info"]["developer"]) == ("lab/code-sft", "lab")


def test_the_same_records_give_the_same_files(command: Command, trained: Path, tmp_path: Path) -> None:
    for name in "ab":
        exported(command, trained, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.json*"))
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def as_its_converter_reads(folder: Path) -> dict[str, Any]:
    """What the lm-eval converter of every_eval_ever takes from a folder of `results_*.json` and samples."""
    (file,) = folder.rglob("results_*.json")
    raw = json.loads(file.read_text(encoding="utf-8"))
    arguments = raw["config"]["model_args"]
    assert isinstance(arguments, dict)
    scores, items = {}, {}
    for task, values in raw["results"].items():
        keys = [key for key, value in values.items() if isinstance(value, int | float) and "_stderr," not in key
                and key not in ("alias", "samples", "name", "sample_len", "sample_count")]  # fmt: skip
        scores[task] = {key: values[key] for key in keys}
        if task not in raw["configs"]:  # a group has no samples
            continue
        assert isinstance(raw["n-samples"][task]["effective"], int)
        assert isinstance(raw["higher_is_better"][task], dict)
        (samples,) = file.parent.glob(f"samples_{task}_*.jsonl")
        items[task] = [_item(json.loads(line)) for line in samples.read_text(encoding="utf-8").splitlines()]
    int(raw["date"])
    assert raw["lm_eval_version"].startswith("0.4.")
    return {"id": arguments.get("pretrained", raw["model_name"]), "scores": scores, "items": items}


def _item(sample: dict[str, Any]) -> tuple[str, str, str, float]:
    """The prompt, the chosen answer, the target and the score of a sample."""
    requests = [sample["arguments"][f"gen_args_{at}"] for at in range(len(sample["arguments"]))]
    answer = str(sample["filtered_resps"][0])
    if len(requests) > 1:
        likelihoods = [float(response[0]) for response in sample["filtered_resps"]]
        answer = str(requests[likelihoods.index(max(likelihoods))]["arg_1"]).strip()
    score = next(float(sample[name]) for name in sample["metrics"] if isinstance(sample.get(name), int | float))
    return requests[0]["arg_0"], answer, str(sample["target"]), score


@pytest.mark.parametrize("exported_first", [False, True])
def test_its_own_converter_finds_what_it_reads(
    exported_first: bool, command: Command, runs: Path, tmp_path: Path
) -> None:
    """In the folder that `harness eval` wrote, and in one exported to lm-eval's layout."""
    folder = runs / "uniform"
    if exported_first:
        code, _, err = command("export", folder, "--format", "lm-eval", "--output_path", tmp_path / "out")
        assert code == 0, err
    read = as_its_converter_reads(tmp_path / "out" if exported_first else folder)
    assert read["id"] == "local/uniform"
    (model,) = load([folder]).models
    for task, run in model.tasks.items():
        assert read["scores"][task][run.metric] == run.value
        scores = [score for _, _, _, score in read["items"][task]]
        assert scores == run.headline_values.tolist()

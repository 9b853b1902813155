"""`harness eval` as a user meets it: what goes wrong, what is written, what is asked again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.models import save_tiny_adapter, save_tiny_llama
from tests.tasks_for_tests import write_tasks

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(harness_here: HarnessCommand) -> Run:
    """Returns exit code, standard output, standard error."""

    def command(*words: object) -> tuple[int, str, str]:
        done = harness_here(*words)
        return done.returncode, done.stdout, done.stderr

    return command


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")


def _files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*")) if folder.exists() else []


def _no_weights(tiny: Path, tmp_path: Path) -> list[object]:
    folder = Path(shutil.copytree(tiny, tmp_path / "m"))
    (folder / "model.safetensors").unlink()
    return ["--model", folder]


def _truncated(tiny: Path, tmp_path: Path) -> list[object]:
    folder = Path(shutil.copytree(tiny, tmp_path / "m"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    return ["--model", folder]


def _no_base(tiny: Path, tmp_path: Path) -> list[object]:
    base = Path(shutil.copytree(tiny, tmp_path / "base"))
    folder = save_tiny_adapter(tmp_path / "adapter", base)
    shutil.rmtree(base)
    return ["--model", folder]


def _adapter_of_an_adapter(tiny: Path, tmp_path: Path) -> list[object]:
    first = save_tiny_adapter(tmp_path / "first", tiny)
    second = save_tiny_adapter(tmp_path / "second", tiny)
    config = json.loads((second / "adapter_config.json").read_text())
    (second / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(first)}))
    return ["--model", second]


def _adapter_without_a_weight(tiny: Path, tmp_path: Path) -> list[object]:
    from safetensors.torch import load_file, save_file

    folder = save_tiny_adapter(tmp_path / "adapter", tiny)
    weights = load_file(folder / "adapter_model.safetensors")
    weights.pop(min(weights))
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return ["--model", folder]


def _pickled(tiny: Path, tmp_path: Path) -> list[object]:
    import torch

    folder = Path(shutil.copytree(tiny, tmp_path / "m"))
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    return ["--model", folder]


def _config_of_another_type(tiny: Path, tmp_path: Path) -> list[object]:
    folder = Path(shutil.copytree(tiny, tmp_path / "m"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": "two"}))
    return ["--model", folder]


def _broken_yaml(text: str) -> Callable[[Path, Path], list[object]]:
    def make(tiny: Path, tmp_path: Path) -> list[object]:
        (tmp_path / "t").mkdir()
        (tmp_path / "t" / "broken.yaml").write_text(text)
        return ["--model", tiny, "--include_path", tmp_path / "t"]

    return make


def _output_is_a_file(tiny: Path, tmp_path: Path) -> list[object]:
    (tmp_path / "file").write_text("")
    return ["--model", tiny, "--output_path", tmp_path / "file"]


BAD_INPUT: dict[str, tuple[Callable[[Path, Path], list[object]], list[str]]] = {
    "no such folder": (lambda _, t: ["--model", t / "gone"], ["no such folder or file", "hub id"]),
    "no weights": (_no_weights, ["no weights", "save_pretrained"]),
    "truncated weights": (_truncated, ["model.safetensors", "cut off"]),
    "adapter without base": (_no_base, ["adapter_config.json", "base"]),
    "adapter of an adapter": (_adapter_of_an_adapter, ["adapter itself", "merge"]),
    "adapter that lacks a weight": (_adapter_without_a_weight, ["adapter", "lacks some of its weights"]),
    "pickled weights": (_pickled, ["pytorch_model.bin", "--allow_pickle"]),
    "config of another type": (_config_of_another_type, ["/m'", "num_hidden_layers"]),
    "unknown user's home": (lambda _, __: ["--model", "~nobody-of-that-name/m"], ["no such folder or file"]),
    "name too long": (lambda _, __: ["--model", "a" * 5000], ["aaa", "too long"]),
    "device that is not there": (lambda m, _: ["--model", m, "--device", "cuda:99"], ["--device cuda:99", "give cpu"]),
    "device of no kind": (lambda m, _: ["--model", m, "--device", "foo"], ["--device foo", "give cpu"]),
    "gen_kwargs of half an object": (lambda m, _: ["--model", m, "--gen_kwargs", "{a"], ["--gen_kwargs", "{a"]),
    "batch_tokens in words": (lambda m, _: ["--model", m, "--model_args", "batch_tokens=abc"], ["batch_tokens", "abc"]),
    "batch size in words": (lambda m, _: ["--model", m, "--batch_size", "auto:x"], ["auto:x", "whole number", "auto"]),
    "turns without a template": (lambda m, _: ["--model", m, "--fewshot_as_multiturn", "true"], ["--apply_chat"]),
    "group that holds itself": (_broken_yaml("group: g\ntask: [g]"), ["broken.yaml", "contains itself"]),
    "include of no name": (_broken_yaml("include: 3\ntask: x"), ["broken.yaml", "include", "int"]),
    "metadata of no fields": (_broken_yaml("group: g\ntask: [t_choice]\nmetadata: 3"), ["broken.yaml", "metadata"]),
    "other weights for lm-eval's model": (
        lambda m, _: ["--model", m, "--backend", "lm-eval:hf", "--model_args", f"pretrained={m}"],
        ["--model_args pretrained", "is set by --model"],
    ),
    "revision of a local folder": (lambda m, _: ["--model", m, "--revision", "v2"], ["--revision v2", "local path"]),
    "dtype of a service": (
        lambda m, _: ["--model", m, "--backend", "lm-eval:local-completions", "--dtype", "float32"],
        ["--dtype float32", "is a service"],
    ),
    "unknown task": (lambda m, _: ["--model", m, "--tasks", "t_choise"], ["t_choise", "Did you mean t_choice"]),
    "YAML that does not parse": (_broken_yaml("task: [a\nb: c"), ["broken.yaml, line 2", "not valid YAML"]),
    "YAML without a name": (_broken_yaml("doc_to_text: x"), ["broken.yaml", "lacks the field task"]),
    "YAML without a split": (_broken_yaml("task: x\ndataset_path: json"), ["broken.yaml", "test_split"]),
    "limit 0": (lambda m, _: ["--model", m, "--limit", "0"], ["--limit", "from 1"]),
    "negative limit": (lambda m, _: ["--model", m, "--limit=-3"], ["--limit", "-3"]),
    "limit of 1.5": (lambda m, _: ["--model", m, "--limit", "1.5"], ["--limit", "1.5"]),
    "limit nan": (lambda m, _: ["--model", m, "--limit", "nan"], ["--limit", "finite"]),
    "output is a file": (_output_is_a_file, ["--output_path", "is a file"]),
    "unknown flag": (lambda m, _: ["--model", m, "--limt", "3"], ["--limt"]),
    "unknown backend": (lambda m, _: ["--model", m, "--backend", "vlm"], ["vlm", "Did you mean vllm"]),
    "unknown lm-eval backend": (lambda m, _: ["--model", m, "--backend", "lm-eval:hff"], ["hff", "Did you mean"]),
    "unknown script": (lambda _, __: ["--model", "oracl", "--backend", "scripted"], ["oracl", "oracle"]),
    "model_args without =": (lambda m, _: ["--model", m, "--model_args", "abc"], ["abc", "key=value"]),
    "negative few-shot": (lambda m, _: ["--model", m, "--num_fewshot=-1"], ["--num_fewshot"]),
    "bad seed": (lambda m, _: ["--model", m, "--seed", "x"], ["--seed", "whole number"]),
    "no chat template": (lambda m, _: ["--model", m, "--apply_chat_template"], ["chat template", "leave the flag out"]),
    "empty task list": (lambda m, _: ["--model", m, "--tasks", ","], ["--tasks", "no names"]),
    "missing include path": (lambda m, t: ["--model", m, "--include_path", t / "no"], ["--include_path", "no such"]),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    name: str, run: Run, tiny: Path, tasks: Path, tmp_path: Path
) -> None:
    make, expected = BAD_INPUT[name]
    words = make(tiny, tmp_path)
    output = tmp_path / "out"
    defaults: list[object] = [] if "--tasks" in words else ["--tasks", "t_choice"]
    defaults += [] if "--output_path" in words else ["--output_path", output]
    code, out, err = run("eval", *words, *defaults, "--include_path", tasks)
    assert code == 2, err
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err
    assert not out
    for part in expected:
        assert part in err
    assert not output.exists(), "nothing half-written"


def test_an_output_folder_that_cannot_be_written_is_refused(run: Run, tiny: Path, tasks: Path) -> None:
    code, _, err = run(
        "eval", "--model", tiny, "--tasks", "t_choice", "--include_path", tasks, "--output_path", "/proc/nowhere"
    )
    assert code == 2
    assert "/proc" in err
    assert len(err.strip().splitlines()) == 1


def test_weights_that_are_not_whole_are_refused_not_drawn_at_random(
    run: Run, tiny: Path, tasks: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    model = Path(shutil.copytree(tiny, tmp_path / "partial"))
    weights = load_file(model / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    words = ("--model", model, "--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path / "out")
    code, _, err = run("eval", *words)
    assert code == 2
    assert "lacks 1 of the model's weights" in err
    assert not (tmp_path / "out").exists()


def _eval(run: Run, tasks: Path, output: Path, *words: object, model: str = "oracle") -> tuple[int, str, str]:
    return run(
        "eval", "--backend", "scripted", "--model", model, "--include_path", tasks, "--output_path", output,
        *(() if "--tasks" in words else ("--tasks", "t_all")), *words,
    )  # fmt: skip


def _results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(max(folder.rglob("results_*.json")).read_text())
    return found


def test_an_oracle_is_always_right_and_a_corrupted_one_never(run: Run, tasks: Path, tmp_path: Path) -> None:
    assert _eval(run, tasks, tmp_path / "right")[0] == 0
    assert _eval(run, tasks, tmp_path / "wrong", model="corrupted")[0] == 0
    right, wrong = _results(tmp_path / "right")["results"], _results(tmp_path / "wrong")["results"]
    assert (right["t_choice"]["acc,none"], right["t_generate"]["exact_match,none"]) == (1.0, 1.0)
    assert (wrong["t_choice"]["acc,none"], wrong["t_generate"]["exact_match,none"]) == (0.0, 0.0)


def test_the_table_shows_value_error_interval_domains_and_overall(run: Run, tasks: Path, tmp_path: Path) -> None:
    _, out, _ = _eval(run, tasks, tmp_path)
    for part in ("t_choice", "acc", "24", "1.000", "0.862 to 1.000", "logic", "code_gen", "overall", "leaderboard"):
        assert part in out


def test_the_folder_is_lm_evals_and_the_record_says_what_lm_eval_lacks(run: Run, tasks: Path, tmp_path: Path) -> None:
    _eval(run, tasks, tmp_path)
    record = read_record(tmp_path / "oracle")
    names = _files(tmp_path / "oracle")
    assert names == sorted(
        [
            f"results_{record.time}.json",
            "run.json",
            f"run_{record.time}.json",
            f"samples_t_choice_{record.time}.jsonl",
            f"samples_t_generate_{record.time}.jsonl",
        ]
    )
    assert record.complete
    assert record.model["digest"] == "script:oracle"
    assert record.tasks["t_choice"].items == 24
    assert record.tasks["t_choice"].asked == 96
    assert record.aggregate["reasoning"]["definition"]
    assert record.versions["lm_eval"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", (7, 7, 7, 7)),
        ("1,2,3,4", (1, 2, 3, 4)),
        ("5,None", (5, None, 1234, 1234)),
    ],
)
def test_one_seed_counts_for_all_and_four_for_lm_evals_four(
    run: Run, tasks: Path, tmp_path: Path, text: str, seeds: tuple[int | None, ...]
) -> None:
    assert _eval(run, tasks, tmp_path, "--seed", text, "--limit", "2")[0] == 0
    recorded = read_record(tmp_path / "oracle").prompt["seeds"]
    assert recorded == dict(zip(("random", "numpy", "torch", "fewshot"), seeds, strict=True))
    config = _results(tmp_path)["config"]
    assert tuple(config[f"{name}_seed"] for name in ("random", "numpy", "torch", "fewshot")) == seeds


def test_two_checkpoints_of_one_name_do_not_share_a_folder(run: Run, tasks: Path, tmp_path: Path) -> None:
    words = ["eval", "--tasks", "t_choice", "--limit", "2", "--include_path", tasks, "--output_path", tmp_path / "out"]
    for seed in (0, 1, 0):
        model = save_tiny_llama(tmp_path / f"{seed}" / "same", seed=seed)
        assert run(*words, "--model", model, "--backend", "lm-eval:hf", "--device", "cpu")[0] == 0
    folders = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert len(folders) == 2
    assert folders[0] == "same"
    assert folders[1].startswith("same-")
    digests = {read_record(tmp_path / "out" / name).model["digest"] for name in folders}
    assert len(digests) == 2


def test_a_dry_run_goes_through_everything_and_writes_nothing(
    run: Run, tiny: Path, tasks: Path, tmp_path: Path
) -> None:
    before = _files(tmp_path)
    code, out, _ = run("eval", "--model", tiny, "--tasks", "t_all", "--include_path", tasks, "--dry_run")
    assert code == 0
    assert "nothing written" in out
    assert _files(tmp_path) == before


def test_several_models_are_evaluated_one_after_the_other(run: Run, tasks: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        "eval", "--backend", "scripted", "--model", "oracle", "corrupted", "--tasks", "t_choice",
        "--include_path", tasks, "--output_path", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert [p.name for p in sorted(tmp_path.iterdir()) if p.name in ("oracle", "corrupted")] == ["corrupted", "oracle"]
    assert out.index("oracle") < out.index("corrupted")


def test_standard_error_is_clean_of_others_progress_bars(
    harness_command: HarnessCommand, tasks: Path, tmp_path: Path
) -> None:
    words = ("--backend", "scripted", "--model", "oracle", "--tasks", "t_all", "--include_path", tasks)
    done = harness_command("eval", *words, "--output_path", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_limit_and_fewshot_reach_the_prompts(run: Run, tasks: Path, tmp_path: Path) -> None:
    _eval(run, tasks, tmp_path, "--tasks", "t_choice", "--limit", "3", "--num_fewshot", "2")
    sample = json.loads(max(tmp_path.rglob("samples_*")).read_text().splitlines()[0])
    assert sample["arguments"]["gen_args_0"]["arg_0"].count("Question:") == 3
    assert _results(tmp_path)["n-samples"]["t_choice"]["effective"] == 3

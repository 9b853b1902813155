"""lm-eval's `--model hf --model_args pretrained=...` means the same as this project's own flags, and runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.cli import build_parser
from harness.cli.eval_spec import evaluation_spec
from harness.cli.lm_eval_model import in_own_words
from harness.errors import InputError
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.engines.service import Service
from tests.models import save_tiny_adapter, save_tiny_gguf, save_tiny_llama
from tests.tasks_for_tests import write_tasks


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=8)


def _spec(*words: str) -> Any:
    return evaluation_spec(build_parser().parse_args(["eval", "--tasks", "a", *words]))


def _notes(*words: str) -> tuple[str, ...]:
    return in_own_words(build_parser().parse_args(["eval", "--tasks", "a", *words])).notes


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        ("--model hf --model_args pretrained=org/name", "--backend hf --model org/name"),
        ("--model_args pretrained=org/name", "--backend hf --model org/name"),
        ("-M huggingface -a pretrained=org/name dtype=float", "--backend hf --model org/name --dtype float32"),
        ("--model hf --model_args pretrained=a/b,dtype=half", "--backend hf --model a/b --dtype float16"),
        ("--model a/b --dtype bf16", "--model a/b --dtype bfloat16"),
        ("--model hf --model_args pretrained=a/b,dtype=torch.bfloat16", "--backend hf --model a/b --dtype bfloat16"),
        ("--model hf --model_args pretrained=a/b,dtype=auto,revision=main", "--backend hf --model a/b"),
        ("--model hf --model_args pretrained=a/b,revision=step1", "--backend hf --model a/b --revision step1"),
        ("--model hf --model_args pretrained=a/b,tokenizer=c/d", "--backend hf --model a/b --tokenizer c/d"),
        ("--model hf --model_args pretrained=a/b,peft=c/d", "--backend hf --model c/d --base a/b"),
        ("--model hf --model_args pretrained=a/b,max_length=512", "--backend hf --model a/b --max_length 512"),
        (
            "--model hf --model_args pretrained=a/b,trust_remote_code=True",
            "--backend hf --model a/b --trust_remote_code",
        ),
        ("--model hf --model_args pretrained=a/b,trust_remote_code=False", "--backend hf --model a/b"),
        (
            "--model hf --model_args pretrained=a/b,device=cpu,batch_size=8",
            "--backend hf --model a/b --device cpu -b 8",
        ),
        ("--model hf --model_args pretrained=a/b,add_bos_token=True", "--backend hf --model a/b -a add_bos=True"),
        ("--model hf --model_args pretrained=a/b,backend=causal", "--backend hf --model a/b"),
        (
            "--model hf --model_args pretrained=a/b,enable_thinking=False,think_end_token=</think>",
            "--backend hf --model a/b --chat_template_args enable_thinking=False --think_end </think>",
        ),
        (
            "--model hf --model_args pretrained=a/b,load_in_4bit=True,peft=c/d",
            "--backend lm-eval:hf --model c/d --base a/b -a load_in_4bit=True",
        ),
        (
            "--model hf --model_args pretrained=a/b,parallelize=True,dtype=float",
            "--backend lm-eval:hf --model a/b --dtype float32 -a parallelize=True",
        ),
        (
            "--model vllm --model_args pretrained=a/b,tensor_parallel_size=2,seed=3,max_model_len=9",
            "--backend vllm --model a/b --max_length 9 -a tensor_parallel_size=2,seed=3",
        ),
        (
            "--model vllm --model_args pretrained=a/b,lora_local_path=c/d,add_bos_token=True",
            "--backend lm-eval:vllm --model c/d --base a/b -a add_bos_token=True",
        ),
        (
            "--model local-completions --model_args model=x,base_url=http://h/v1,num_concurrent=1,batch_size=16",
            "--backend lm-eval:local-completions --model x -b 16 -a base_url=http://h/v1,num_concurrent=1",
        ),
        ("--model dummy", "--backend lm-eval:dummy --model dummy"),
        (
            "--backend lm-eval:hf --model hf --model_args pretrained=a/b,logits_cache=False",
            "--backend lm-eval:hf --model a/b -a logits_cache=False",
        ),
        (
            "--model hf --model_args pretrained=a/b --metadata max_seq_lengths=[64]",
            '--backend hf --model a/b --metadata {"pretrained":"a/b","max_seq_lengths":[64]}',
        ),
    ],
)
def test_lm_evals_words_mean_this_projects(theirs: str, own: str) -> None:
    pytest.importorskip("vllm") if "lm-eval:vllm" in own else None
    assert _spec(*theirs.split()) == _spec(*own.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model hf", "--model hf: is an engine, and no checkpoint is named; add --model_args pretrained=CKPT"),
        ("", "--model: missing; give a checkpoint"),
        (
            "--model hf --model_args pretrained=a/b,delta=c/d",
            "--model_args delta=c/d: cannot be used here; add the delta",
        ),
        ("--model hf --model_args pretrained=a/b,tp_plan=auto", "give --model vllm with tensor_parallel_size=N"),
        (
            "--model hf --model_args pretrained=a/b,dtype=float64",
            "--model_args dtype=float64: argument --dtype: invalid",
        ),
        ("--model hf --model_args pretrained=a/b,gguf_file=x.gguf", "pretrained=a/b is no local folder; download it"),
        ("--model hf --model_args pretrained=a/b,subfolder=x", "pretrained=a/b is no local folder; download it"),
        ("--model hf --model_args pretrained=a/b,parallelise=True", "Did you mean parallelize?"),
        ("--model hf --model_args pretrained=a/b,think_end_token=7", "give the tag's text, such as </think>"),
        ("--model hf --device cpu --model_args pretrained=a/b,device=cuda:0", "differs from --device cpu, which means"),
        (
            "--model hf --model_args pretrained=a/b,parallelize=True,batch_tokens=9",
            "batch_tokens: is unknown to lm-eval:hf",
        ),
        ("--model vllm --model_args pretrained=a/b,max_gen_toks=9", "give --gen_kwargs max_gen_toks=N"),
    ],
)
def test_what_has_no_equivalent_is_refused_with_its_replacement(words: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        _spec(*words.split())
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_has_no_effect_is_left_out_with_a_note() -> None:
    words = ["--model", "hf", "--model_args", "pretrained=a/b,logits_cache=False,truncation=True,max_batch_size=4"]
    assert [note.partition(":")[0] for note in _notes(*words)] == [
        "--max_batch_size 4", "--model_args logits_cache=False", "--model_args truncation=True",
    ]  # fmt: skip
    assert _notes("--model", "hf", "--model_args", "pretrained=a/b,use_fast_tokenizer=True") == ()
    (note,) = _notes("--model", "hf", "--model_args", "pretrained=a/b,parallelize=True")
    assert "the engine is lm-eval:hf" in note


def test_a_folder_with_the_name_of_a_model_class_is_a_checkpoint(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny, tmp_path / "hf")
    monkeypatch.chdir(tmp_path)
    assert _spec("--model", "hf").models == ("hf",)
    assert _spec("--model", "hf").engine.backend == "auto"
    assert _spec("--model", "hf", "--model_args", "pretrained=org/name").models == ("org/name",)


def _answers(folder: Path) -> list[Any]:
    rows = max(folder.rglob("samples_t_choice_*.jsonl")).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["resps"] for line in rows]


def test_both_ways_to_name_a_model_give_the_same_answers(
    tiny: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    common = ["--tasks", "t_choice", "--include_path", tasks, "--no_cache"]
    theirs = ["run", "--model", "hf", "--model_args", f"pretrained={tiny},dtype=float", "--device", "cpu", "-b", "8"]
    own = ["eval", "--model", tiny, "--dtype", "float32", "--device", "cpu", "--batch_size", "8"]
    for name, words in (("theirs", theirs), ("own", own)):
        done = harness_here(*words, *common, "--output_path", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert _answers(tmp_path / "theirs") == _answers(tmp_path / "own")
    assert read_record(tmp_path / "theirs" / "tiny").model["source"] == str(tiny)


def test_an_argument_of_lm_evals_class_only_runs_there(
    tiny: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    arguments = f"pretrained={tiny},softmax_dtype=float32,dtype=float"
    words = ["--model", "hf", "--model_args", arguments, "--tasks", "t_choice", "--include_path", tasks]
    done = harness_here(*words, "--device", "cpu", "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "the engine is lm-eval:hf" in done.stderr
    engine = read_record(tmp_path / "out" / "tiny").engine
    assert engine is not None
    assert engine["model_class"] == "HFLM"


def test_an_adapter_is_evaluated_on_the_base_that_is_named(
    tiny: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    """The adapter's config names a base that has moved."""
    base = Path(shutil.copytree(tiny, tmp_path / "base"))
    adapter = save_tiny_adapter(tmp_path / "adapter", base)
    words = ["eval", "--tasks", "t_choice", "--include_path", tasks, "--device", "cpu", "--no_cache"]
    assert harness_here(*words, "--model", adapter, "--output_path", tmp_path / "before").returncode == 0
    base.rename(tmp_path / "moved")
    gone = harness_here(*words, "--model", adapter, "--output_path", tmp_path / "gone")
    assert gone.returncode == 2
    assert "or give --base" in gone.stderr
    theirs = ["--model", "hf", "--model_args", f"pretrained={tmp_path / 'moved'},peft={adapter}"]
    for name, more in (("theirs", theirs), ("own", ["--model", adapter, "--base", tmp_path / "moved"])):
        done = harness_here(*words, *more, "--output_path", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert _answers(tmp_path / name) == _answers(tmp_path / "before")
    wrong = harness_here(*words, "--model", tiny, "--base", tmp_path / "moved")
    assert wrong.returncode == 2
    assert "is no PEFT adapter, so it has no base" in wrong.stderr


def test_a_gguf_file_inside_a_folder_is_the_model(
    tiny: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    (tmp_path / "folder").mkdir()
    save_tiny_gguf(tmp_path / "folder" / "tiny.gguf", tiny)
    arguments = f"pretrained={tmp_path / 'folder'},gguf_file=tiny.gguf,tokenizer={tiny}"
    words = ["--model", "hf", "--model_args", arguments, "--tasks", "t_choice", "--include_path", tasks]
    done = harness_here(*words, "--device", "cpu", "--limit", 2, "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "out" / "tiny").model["kind"] == "gguf"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("load_in_4bit=True", "load_in_4bit=True"),
        ("load_in_8bit=True,max_length=32", "load_in_8bit=True"),
        ("gptqmodel=True,load_in_4bit=False", "gptqmodel=True"),
    ],
)
def test_a_gguf_file_is_not_quantised_again(
    arguments: str, named: str, tiny: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    file = tmp_path / "tiny.gguf"
    save_tiny_gguf(file, tiny)
    words = ["eval", "--tasks", "t_choice", "--include_path", tasks, "--limit", 1]
    ways = (
        ["--model", file, "--model_args", arguments],
        ["--model", file, "--backend", "lm-eval:hf", "--model_args", arguments],
        ["--model", "hf", "--model_args", f"pretrained={file},{arguments}"],
    )
    for way in ways:
        done = harness_here(*words, *way)
        *notes, line = done.stderr.splitlines()
        assert done.returncode == 2
        assert len(notes) <= 1, "that the engine is lm-eval:hf"
        assert line == (
            f"harness eval: --model_args {named}: {file} is quantised already, and its weights are read as they are; "
            "leave the argument out, or give the transformers folder of the same model."
        )


def test_a_served_model_runs_with_the_readmes_command(
    tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    service = Service()
    arguments = (
        f"model=facebook/opt-125m,base_url=http://127.0.0.1:{service.port}/v1/completions,num_concurrent=1,"
        "max_retries=3,tokenized_requests=False,batch_size=16,tokenizer_backend=none"
    )
    words = ["--model", "local-completions", "--tasks", "t_generate", "--model_args", arguments]
    try:
        done = harness_here(*words, "--include_path", tasks, "--output_path", tmp_path / "out")
    finally:
        service.close()
    assert done.returncode == 0, done.stderr
    assert service.most_at_once == 1, "num_concurrent=1"
    assert len(service.asked) == 8


TEMPLATE = (
    "{{ messages[0]['content'] }}{% if enable_thinking is defined and not enable_thinking %} /no_think{% endif %}"
)


def test_variables_reach_the_chat_template_and_another_may_not_be_set(
    tiny: Path, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    model = Path(shutil.copytree(tiny, tmp_path / "chat"))
    (model / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    words = ["eval", "--tasks", "t_generate", "--include_path", tasks, "--limit", 1, "--device", "cpu"]
    arguments = ["--model", "hf", "--model_args", f"pretrained={model},enable_thinking=False"]
    done = harness_here(*words, *arguments, "--apply_chat_template", "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    row = json.loads(max((tmp_path / "out").rglob("samples_*")).read_text(encoding="utf-8").splitlines()[0])
    assert row["arguments"]["gen_args_0"]["arg_0"].endswith("Answer: /no_think")
    rescored = harness_here("rescore", tmp_path / "out" / "chat", "--include_path", tasks, "--model", model)
    assert rescored.returncode == 0, rescored.stderr
    wrong = harness_here(*words, "--model", model, "--apply_chat_template", "--chat_template_args", "tokenize=True")
    assert wrong.returncode == 2
    assert "--chat_template_args tokenize: is set by the harness" in wrong.stderr

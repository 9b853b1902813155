"""The fixed set of runs, in order, each with a name and the words of its command line."""

from __future__ import annotations

SCRIPTS = ("oracle", "corrupted", "uniform")
FORMATS = {"table": "txt", "md": "md", "csv": "csv", "json": "json", "latex": "tex", "html": "html"}
COMMANDS = ("eval", "compare", "leaderboard", "power", "rescore", "train", "lineage", "tasks", "cache", "doctor")

OWN = ["--include_path", "own_tasks"]
ENGINES: dict[str, list[str]] = {
    "hf": ["--backend", "hf", "--dtype", "float32"],
    "lm-eval": ["--backend", "lm-eval:hf", "--dtype", "float32", "--batch_size", "4", "--device", "cpu"],
    "vllm": ["--backend", "vllm", "--dtype", "float32", "--model_args", "kv_cache_memory_bytes=67108864"],
}


def engine_runs(output: str) -> dict[str, list[str]]:
    """Runs with models, whose answers the journal keeps; `output` is the folder of their records."""
    first, second = "models/tiny-first", "models/tiny-second"
    tasks = "t_all,t_rolling,t_sampled"
    chat = ["--apply_chat_template", "--system_instruction", "Answer briefly.", "--num_fewshot", "1"]
    runs = {
        "zero-shot": [*_eval([first, second], tasks, "hf"), "--limit", "12"],
        "few-shot": [*_eval([first, second], "t_all", "hf"), "--num_fewshot", "2"],
        "chat": [*_eval([first], "t_all", "hf"), *chat],
        "generated-items": [*_eval([first], "reasoning_mini", "hf"), "--limit", "4"],
        "cut": [*_eval([second], "t_choice", "hf"), "--max_length", "12", "--allow_failures", "100"],
        "sampled-by-flag": [*_eval([first], "t_generate", "hf"), "--gen_kwargs", "do_sample=true,temperature=0.7"],
        "adapter": _eval(["models/tiny-adapter"], "t_all", "hf"),
        "steps": _eval(["models/steps"], "t_all", "hf"),
        "lm-eval": [*_eval([first], "t_all,t_rolling", "lm-eval"), "--limit", "6"],
        "vllm": [*_eval(["models/tiny-wide"], "t_all", "vllm"), "--limit", "8"],
    }
    return {f"eval-{name}": [*words, "--output_path", f"{output}/{name}"] for name, words in runs.items()}


def trained_runs(output: str) -> dict[str, list[str]]:
    """Runs with the checkpoints that `training` makes."""
    chain = [f"out/trained/{name}" for name in ("stage-base", "stage-tuned", "stage-preferred")]
    runs = {
        "trained": _eval(chain, "t_choice", "hf"),
        "trained-steps": _eval(["out/trained/stage-tuned/training"], "t_choice", "hf"),
        "rewarded": _eval(["out/trained/stage-rewarded"], "t_choice", "hf"),
    }
    return {f"eval-{name}": [*words, "--output_path", f"{output}/{name}"] for name, words in runs.items()}


def scripted_runs() -> dict[str, list[str]]:
    """Runs without a model: scripts, faults on purpose, a dry run, and the answers of one scored again."""
    script = ["eval", "--backend", "scripted", *OWN]
    faults = ["--no_cache", "--model_args", "raises=0.1,missing=0.1,nan=0.1"]
    return {
        "scripts": [*script, "--model", *SCRIPTS, "--tasks", "reasoning_mini,t_all", "--limit", "8",
                    "--output_path", "out/scripts"],
        "faults": [*script, "--model", "uniform", "--tasks", "t_all", *faults, "--allow_failures", "500",
                   "--output_path", "out/faults"],
        "faults-not-allowed": [*script, "--model", "uniform", "--tasks", "t_all", *faults,
                               "--output_path", "out/faults-not-allowed"],
        "dry-run": [*script, "--model", "uniform", "--tasks", "t_all", "--dry_run"],
        "rescore-script": ["rescore", "out/scripts/uniform"],
    }  # fmt: skip


def training() -> dict[str, list[str]]:
    """Plans, the four trainers, the chain of three stages, and a finished stage asked for again."""
    stages = {"pretrain": "base", "sft": "tuned", "dpo": "preferred", "grpo": "rewarded"}
    runs: dict[str, list[str]] = {}
    for stage, name in stages.items():
        words = ["train", f"stages/{stage}.yaml"]
        runs[f"plan-{stage}"] = [*words, "--dry_run", "seed=4"]
        runs[f"train-{stage}"] = [*words, "--output_path", f"out/trained/stage-{name}"]
    runs["train-again"] = ["train", "stages/dpo.yaml", "--output_path", "out/trained/stage-preferred"]
    runs["lineage"] = ["lineage", "out/trained/stage-preferred"]
    runs["lineage-unfinished"] = ["lineage", "out/trained/stage-tuned/training/checkpoint-28"]
    runs["lineage-of-none"] = ["lineage", "models/tiny-first"]
    return runs


def reports() -> dict[str, list[str]]:
    """Comparisons and rankings in every format, with every flag."""
    runs: dict[str, list[str]] = {}
    two = ["compare", "out/zero-shot/tiny-first", "out/zero-shot/tiny-second"]
    scripts = ["compare", *SCRIPTS, "--runs", "out/scripts"]
    chain = ["stage-base", "stage-tuned", "stage-preferred", "--runs", "out/trained-evals"]
    for kind, ending in FORMATS.items():
        out = ["--format", kind, "--output_path"]
        runs[f"compare-{kind}"] = [*scripts, "--margin", "0.1", *out, f"out/reports/scripts.{ending}"]
        runs[f"leaderboard-{kind}"] = ["leaderboard", "out/scripts", *out, f"out/reports/board.{ending}"]
    as_json = ["--format", "json"]
    runs |= {
        "compare-two": [*two, *as_json],
        "compare-two-page": [*two, "--output_path", "out/reports/two.html"],
        "compare-printed": [*two, "--tasks", "t_choice,t_generate"],
        "compare-chosen": [*scripts, "--chosen", *as_json],
        "compare-baseline": [*scripts, "--baseline", "corrupted", "--correction", "bh", *as_json],
        "compare-doses": [*scripts, "--doses", "1,0,0.4", *as_json],
        "compare-arms": ["compare", "arm-one=out/few-shot/tiny-first,out/zero-shot/tiny-first",
                         "arm-two=out/few-shot/tiny-second,out/zero-shot/tiny-second", "--tasks", "t_choice,t_generate",
                         "--force", *as_json],
        "compare-unlike": ["compare", "out/few-shot/tiny-first", "out/zero-shot/tiny-second", *as_json],
        "compare-failed": ["compare", "out/scripts/uniform", "out/faults/uniform", "--force", *as_json],
        "compare-chain": ["compare", *chain, *as_json],
        "compare-chain-page": ["compare", *chain, "--output_path", "out/reports/chain.html",
                               "--charts", "out/charts/chain"],
        "leaderboard-printed": ["leaderboard", "out/zero-shot", "out/adapter"],
        "leaderboard-all": ["leaderboard", "out/scripts", "--all", *as_json],
        "leaderboard-charts": ["leaderboard", "out/scripts", *as_json, "--charts", "out/charts/board"],
        "leaderboard-chain": ["leaderboard", "out/trained-evals", "--output_path", "out/reports/chain-board.html"],
    }  # fmt: skip
    return runs


def listings() -> dict[str, list[str]]:
    """What is printed about tasks and the cache, and errors of the user's."""
    return {
        "tasks-list": ["tasks", "list", *OWN],
        "tasks-list-json": ["tasks", "list", "--domain", "logic", "--format", "json", *OWN],
        "tasks-show": ["tasks", "show", "mini_logic"],
        "tasks-show-json": ["tasks", "show", "t_generate", "--format", "json", *OWN],
        "tasks-validate": ["tasks", "validate", "reasoning_mini", "t_all", *OWN],
        "cache-info": ["cache", "info"],
        "no-such-task": [*_eval(["models/tiny-first"], "t_al", "hf"), "--output_path", "out/none"],
        "no-such-model": [*_eval(["models/tiny-frist"], "t_all", "hf"), "--output_path", "out/none"],
        "no-such-field": ["train", "stages/sft.yaml", "--dry_run", "trainer.learning_rat=1"],
        "no-such-command": ["evl"],
        "version": ["--version"],
    }


def helps() -> dict[str, list[str]]:
    """The help of every command; only flags are kept of it."""
    actions = [["tasks", action] for action in ("list", "show", "fetch", "validate")]
    actions += [["cache", action] for action in ("info", "clear")]
    commands: list[list[str]] = [[], *([command] for command in COMMANDS), *actions]
    return {"-".join(["help", *words]): [*words, "--help"] for words in commands}


def everything() -> dict[str, list[str]]:
    """All runs in the order in which they are made."""
    output = "out"
    last = {"rescore": ["rescore", "out/zero-shot/tiny-first"]}
    evaluations = engine_runs(output) | training() | trained_runs(output)
    evaluations["eval-trained"][-1] = "out/trained-evals"
    return scripted_runs() | evaluations | reports() | last | listings() | helps()


def _eval(models: list[str], tasks: str, engine: str) -> list[str]:
    return ["eval", "--model", *models, "--tasks", tasks, *OWN, *ENGINES[engine]]

"""What else differs between the models of a comparison, what was forced, and whether their training tokens agree.

All are shown above every table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.records import ModelRecords, TaskRun
from harness.reports.analysis.lineage_graph import tokens_text
from harness.reports.analysis.parents import parents_of

# Training tokens that differ by less than this share count as equal: the last batch of a stage may be partial.
TOKEN_TOLERANCE = 0.01
_NAMED = 3


def caveats_of(
    groups: Mapping[str, Sequence[ModelRecords]], last: Mapping[str, Sequence[ModelRecords]] | None = None
) -> tuple[str, ...]:
    """Return sentences on what is not comparable: training tokens, truncated inputs, max_length, engine, dtype.

    Args:
        groups: The models of each arm, by its name.
        last: The last checkpoint of each run, whose tokens are compared, if `groups` has earlier ones too.
    """
    sentences = [
        *_tokens(groups if last is None else last),
        _truncated(groups),
        _setting(groups, "max_length", lambda run: run.max_length),
        _setting(groups, "engine", lambda run: run.engine, " Near ties may flip."),
        _setting(groups, "dtype", lambda run: run.dtype or "not recorded", " Near ties may flip."),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def forced_caveats(warnings: Sequence[tuple[str, Sequence[str]]], done: str) -> tuple[str, ...]:
    """Return sentences on what ``--force`` overruled; tasks with the same reasons share one.

    Args:
        warnings: Names of tasks, each with the reasons why its runs would not be compared.
        done: What was done anyway, such as ``compared``.
    """
    tasks_by_reasons: dict[str, list[str]] = {}
    for task, reasons in warnings:
        if reasons:
            tasks_by_reasons.setdefault("; ".join(reasons), []).append(task)
    return tuple(
        f"{', '.join(dict.fromkeys(tasks))}: {reasons}; {done} anyway (--force)."
        for reasons, tasks in tasks_by_reasons.items()
    )


def _tokens(groups: Mapping[str, Sequence[ModelRecords]]) -> list[str]:
    """Compare the tokens of all runs since the root, and name arms with runs whose tokens are unknown.

    Nothing is said if no run's tokens are known. Runs are compared, not means: 20k and 60k are not like 40k and 40k.
    """
    counts = {name: [_total_tokens(model) for model in models] for name, models in groups.items()}
    known = {name: [one for one in own if one is not None] for name, own in counts.items()}
    known = {name: own for name, own in known.items() if own}
    if not known:
        return []
    sentences = []
    least, most = min(map(min, known.values())), max(map(max, known.values()))
    # Runs of unknown tokens are named below; they say nothing about whether the others agree.
    models = [one for own in groups.values() for one in own if _total_tokens(one) is not None]
    arms = list(groups.values())
    if most - least > TOKEN_TOLERANCE * most and not (_agree_within_a_sequence(models) or _further_training(arms)):
        listed = _listed({name: _range_of(own) for name, own in known.items()})
        sentences.append(f"Not trained on equally many tokens: {listed}. A difference may come from the tokens alone.")
    unknown = {name: f"({own.count(None)} of {len(own)} runs)" for name, own in counts.items() if None in own}
    if unknown:
        sentences.append(f"Training tokens are not recorded: {_listed(unknown)}. They may differ from the others.")
    return sentences


def _range_of(counts: Sequence[int]) -> str:
    """Return ``40k tokens`` if the runs of an arm agree, else ``20k to 60k tokens``."""
    least, most = min(counts), max(counts)
    if most - least <= TOKEN_TOLERANCE * most:
        return tokens_text(round(sum(counts) / len(counts)))
    return f"{tokens_text(least).removesuffix(' tokens')} to {tokens_text(most)}"


def agreements_of(arms: Sequence[Sequence[ModelRecords]]) -> tuple[str, ...]:
    """Return a sentence on how closely the training tokens of all runs agree.

    There is none if the tokens are unknown, or if they differ so much that `caveats_of` warns.

    Args:
        arms: The models of each arm.
    """
    if further := _further_training(arms):
        return (further,)
    models = [one for arm in arms for one in arm]
    stages = [_stage_tokens(model) for model in models]
    if not stages or not all(stages):
        return ()
    totals = [sum(tokens for tokens, _ in one) for one in stages if one is not None]
    least, most = min(totals), max(totals)
    within_a_sequence = _agree_within_a_sequence(models)
    if most - least > TOKEN_TOLERANCE * most and not within_a_sequence:
        return ()
    if least == most:
        return (f"Each run was trained on {most:,} tokens.",)
    within = "one sequence in each stage" if within_a_sequence else f"{TOKEN_TOLERANCE:.0%}"
    return (f"Each run was trained on {least:,} to {most:,} tokens; the runs agree within {within}.",)


def _further_training(arms: Sequence[Sequence[ModelRecords]]) -> str:
    """Return how much further a stage was trained than its parents, if the arms are just these; else nothing.

    Each arm must hold parents only, or descendants of theirs only; else part of the tokens separates the runs of one
    arm, and not the arms. All parents must have equally many tokens, and all their descendants too.
    """
    models = [model for arm in arms for model in arm]
    ancestors = {link.get("digest") for model in models for link in model.lineage[1:]}
    parents = [model for model in models if model.digest in ancestors]
    own = {model.digest for model in parents}
    trained = [model for model in models if model.digest not in own]
    if any(0 < sum(model.digest in own for model in arm) < len(arm) for arm in arms):
        return ""
    if not parents or not all(own & {link.get("digest") for link in model.lineage[1:]} for model in trained):
        return ""
    totals = [[_total_tokens(model) for model in side] for side in (parents, trained)]
    if any(count is None for side in totals for count in side):
        return ""
    before, after = ([count for count in side if count is not None] for side in totals)
    if any(max(side) - min(side) > TOKEN_TOLERANCE * max(side) for side in (before, after)):
        return ""
    further = tokens_text(round(sum(after) / len(after) - sum(before) / len(before)))
    return f"One side continues the other with {further} more; the sides' tokens differ by that training only."


def _agree_within_a_sequence(models: Sequence[ModelRecords]) -> bool:
    """Whether the tokens of each stage are known and differ by at most one sequence.

    Example, two runs of two stages: [(400128, 256), (199950, 256)] and [(400128, 256), (199871, 256)] do.
    """
    runs = [one for one in map(_stage_tokens, models) if one]
    if len(runs) < len(models) or len({len(run) for run in runs}) > 1:
        return False
    for stage in zip(*runs, strict=True):
        counts = [tokens for tokens, _ in stage]
        if max(counts) - min(counts) > min(length for _, length in stage):
            return False
    return True


def _total_tokens(model: ModelRecords) -> int | None:
    """Return the tokens trained on since the root; None if a stage did not record them, or for a merge."""
    stages = _stage_tokens(model)
    return None if stages is None else sum(tokens for tokens, _ in stages)


def _stage_tokens(model: ModelRecords) -> list[tuple[int, int]] | None:
    """Return tokens and tokens per sequence (0 if unknown) of each stage, the last one first.

    None if a stage did not record its tokens, for a merge, and for a model without a manifest.
    """
    if not model.lineage or not model.lineage[0].get("manifest"):
        return None
    stages = []
    for link in model.lineage:
        manifest = link.get("manifest")
        if manifest is None:
            continue  # a published model, or one that is not on this machine: what came before is not counted
        if manifest.get("tokens") is None or len(parents_of(link)) > 1:
            return None
        length = (manifest.get("arguments") or {}).get("max_length")
        stages.append((int(manifest["tokens"]), length if isinstance(length, int) else 0))
    return stages


def _truncated(groups: Mapping[str, Sequence[ModelRecords]]) -> str:
    counts = {
        name: sum(run.truncated for model in models for run in model.tasks.values()) for name, models in groups.items()
    }
    cut = {name: f"{count:,}" for name, count in counts.items() if count}
    if not cut:
        return ""
    return (
        f"Inputs were truncated to fit the model: {_listed(cut)} requests. Their answers do not see the whole prompt."
    )


def _setting(
    groups: Mapping[str, Sequence[ModelRecords]], label: str, value_of: Callable[[TaskRun], str], effect: str = ""
) -> str:
    values = {
        name: ", ".join(sorted({value_of(run) for model in models for run in model.tasks.values()}))
        for name, models in groups.items()
    }
    values = {name: value for name, value in values.items() if value}
    if len(set(values.values())) < 2:
        return ""
    return f"{label[0].upper() if label != 'max_length' else 'm'}{label[1:]} differs: {_by_value(values)}.{effect}"


def _listed(values: Mapping[str, str]) -> str:
    parts = [f"{name} {value}" for name, value in values.items()]
    return ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def _by_value(values: Mapping[str, str]) -> str:
    """Join the arms of each value: ``hf: text, code; vllm: mixed``."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return "; ".join(
        f"{value}: {', '.join(names) if len(names) <= _NAMED else f'{names[0]} and {len(names) - 1} more'}"
        for value, names in groups.items()
    )

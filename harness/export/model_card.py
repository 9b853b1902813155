"""The text of a model card: results with intervals, and how each stage was trained, from its ``stage.json``.

The record of an evaluation holds the manifests of the checkpoint and of its ancestors. Paths of this machine, folders
and tokens are left out, because a card is published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeAlias

from harness.checkpoints.stage_manifest import recorded_parents
from harness.export.estimates import estimate
from harness.export.naming import HUB_ID
from harness.export.runs import ExportedRun
from harness.visible import visible

Lineage: TypeAlias = Sequence[Mapping[str, Any]]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PRIVATE = re.compile(r"(_dir|_path|_token|_file|_url)$|^(hub_|push_to_hub)")


def base_models(lineage: Lineage) -> list[str]:
    """Return the hub ids of the checkpoints that a lineage starts from."""
    parents = [parent for link in lineage for parent in recorded_parents(link.get("manifest") or {})]
    return list(dict.fromkeys(str(parent["source"]).partition("@")[0] for parent in parents if parent.get("revision")))


def hub_datasets(lineage: Lineage) -> list[str]:
    """Return the hub ids of the data sets that a lineage was trained on."""
    return list(dict.fromkeys(source["location"] for source in _sources(lineage) if _is_hub(source)))


def stage_kinds(lineage: Lineage) -> list[str]:
    """Return the kinds of the stages, ``sft`` and so on, oldest first."""
    kinds = [str(link["manifest"]["stage"]) for link in reversed(lineage) if link.get("manifest")]
    return list(dict.fromkeys(kinds))


def card_text(runs: Sequence[ExportedRun]) -> str:
    """Return the card of one model below its metadata.

    Args:
        runs: All runs of the model.
    """
    model = runs[0].model
    manifests = [link["manifest"] for link in reversed(model.lineage) if link.get("manifest")]
    parts = [f"# {_plain(runs[0].model_id.partition('/')[2])}", _summary(runs[0], manifests), *_results(runs)]
    if manifests:
        parts += ["## Training", *(part for manifest in manifests for part in _stage(manifest))]
    return "\n\n".join(filter(None, parts)) + "\n"


def _sources(lineage: Lineage) -> list[Mapping[str, Any]]:
    return [source for link in lineage for source in (link.get("manifest") or {}).get("sources") or ()]


def _is_hub(source: Mapping[str, Any]) -> bool:
    """A data set of the hub is recorded with its commit, a file with the digest of its bytes."""
    return bool(HUB_ID.fullmatch(str(source["location"])) and _COMMIT.fullmatch(str(source.get("digest") or "")))


def _summary(run: ExportedRun, manifests: Sequence[Mapping[str, Any]]) -> str:
    if not manifests:
        return "Evaluated with stage-harness. How it was trained is not recorded."
    last = manifests[-1]
    parents = ", ".join(f"`{_plain(parent['name'])}`" for parent in recorded_parents(last)) or "scratch"
    tokens = f" It has seen {run.training_tokens:,} tokens over all stages." if run.training_tokens else ""
    state = "" if last.get("finished", True) else f", step {last['step']:,} of an unfinished stage"
    return f"Stage `{_plain(last['name'])}` ({_plain(last['stage'])}{state}), made from {parents}.{tokens}"


def _results(runs: Sequence[ExportedRun]) -> list[str]:
    rows = []
    for run in runs:
        for name, task in run.tasks.items():
            if task.metric not in task.metrics:
                continue
            figures = estimate(task, task.metric)
            ends = "" if figures.low is None else f"{figures.low:.3f} to {figures.high:.3f}"
            rows.append([
                name, task.domain, task.metric.removesuffix(",none"), f"{task.num_fewshot}", f"{figures.items:,}",
                f"{figures.value:.3f}", ends, f"{task.chance:.2f}", f"{task.failed:,}",
            ])  # fmt: skip
    columns = ["task", "domain", "metric", "few-shot", "items", "value", "95% interval", "chance", "failed"]
    record = runs[0].contents.record
    harness = f"stage-harness {record.harness_version}, " if record else ""
    first = next(iter(runs[0].tasks.values()))
    engine = " ".join(filter(None, [first.engine, first.dtype]))
    lm_eval = runs[0].contents.results.get("lm_eval_version", "of an unknown version")
    return [
        "## Results",
        _table(columns, rows),
        f"Scored with {harness}lm-eval {_plain(lm_eval)}, engine {_plain(engine)}. Failed requests are left out of the "
        "values, never counted as 0.",
    ]


def _stage(manifest: Mapping[str, Any]) -> list[str]:
    """The parent, data, tokens and arguments of one stage."""
    parents = ", ".join(f"{_parent(parent)}" for parent in recorded_parents(manifest)) or "scratch"
    facts = [
        f"- made from: {parents}",
        f"- tokens: {int(manifest.get('tokens', 0)):,} in {int(manifest.get('step', 0)):,} steps, "
        f"seed {int(manifest.get('seed', 0))}",
        f"- mixture: {_plain((manifest.get('mixture') or {}).get('schedule', 'none'))}",
        *(f"- trained on evaluation data: {_plain(name)}" for name in _eval_data(manifest)),
    ]
    return [
        f"### {_plain(manifest['stage'])}: {_plain(manifest['name'])}",
        "\n".join(facts),
        _data(manifest),
        _arguments(manifest),
    ]


def _parent(parent: Mapping[str, Any]) -> str:
    place = f" ({_plain(parent['source'])}, {parent['revision'][:12]})" if parent.get("revision") else ""
    digest = str(parent["digest"]).rpartition(":")[2][:12]
    return f"`{_plain(parent['name'])}`{place}, weights {digest}"


def _eval_data(manifest: Mapping[str, Any]) -> list[str]:
    own = [name for source in manifest.get("sources") or () for name in source.get("eval_data") or ()]
    return list(dict.fromkeys([*own, *(manifest.get("inherited_eval_data") or ())]))


def _data(manifest: Mapping[str, Any]) -> str:
    """The sources as streamed."""
    sources = manifest.get("sources") or ()
    total = sum(int(source["tokens"]) for source in sources) or 1
    rows = [
        [
            source["name"],
            source["location"] if _is_hub(source) else PurePath(str(source["location"])).name,
            f"{int(source['tokens']):,}",
            f"{int(source['tokens']) / total:.1%}",
            f"{int(source.get('repeats', 0)):,}",
            str(source.get("digest") or "").rpartition(":")[2][:12],
        ]
        for source in sources
    ]
    return _table(["source", "location", "tokens as streamed", "share", "repeats", "digest"], rows) if rows else ""


def _arguments(manifest: Mapping[str, Any]) -> str:
    """The trainer's whole configuration, folded, without what is private or not set."""
    arguments = _public(manifest.get("arguments") or {})
    if not arguments:
        return ""
    trainer = _plain((manifest.get("trainer") or {}).get("class") or manifest["stage"])
    text = json.dumps(arguments, indent=2, ensure_ascii=False, sort_keys=True).replace("```", "'''")
    return f"<details><summary>Arguments of {trainer}</summary>\n\n```json\n{text}\n```\n\n</details>"


def _public(value: Any) -> Any:
    """Settings without those that are private or not set, at any depth."""
    if isinstance(value, dict):
        kept = {str(name): _public(part) for name, part in value.items() if not _PRIVATE.search(str(name))}
        return {name: part for name, part in kept.items() if part is not None}
    if isinstance(value, list):
        return [part for part in map(_public, value) if part is not None]
    return None if _is_path(value) else value


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("/", "~", "./", "../", "<"))


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: object) -> str:
    """Text of others in Markdown: one line, without markup of its own."""
    escaped = visible(text, one_line=True).replace("&", "&amp;").replace("<", "&lt;").replace("`", "'")
    return escaped.replace("|", "\\|")

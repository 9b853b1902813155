"""`harness lineage`: the stages that made a checkpoint, from its root, as a tree.

Where a checkpoint has several parents, as an average has, no tree can show them all. The checkpoints are then a list,
parents first, each with the numbers of its parents.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.tree import Tree

    from harness.checkpoints.lineage import Link

PURPOSE = "Show the stages that made a checkpoint, back to its root, and verify their weights."
STATUS_TEXT = {
    "verified": "verified",
    "changed": "changed: its weights do not match the recorded digest",
    "missing": "missing on this machine",
    "root": "no manifest",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a checkpoint folder or hub id")


def run(args: argparse.Namespace) -> int:
    """Print the lineage; return 1 when the weights of a checkpoint in it have changed."""
    from harness.checkpoints.lineage import chain, oldest_first
    from harness.console import stdout

    links = oldest_first(chain(args.checkpoint))
    branches = any(len(link.parents) > 1 for link in links)
    stdout(markup=True).print(_list(links) if branches else _tree(links))
    return 1 if any(link.status == "changed" for link in links) else 0


def _tree(links: Sequence[Link]) -> Tree:
    """Each checkpoint below its parent."""
    from rich.tree import Tree

    first = links[0]
    tree = Tree("from scratch" if first.manifest is not None else _label(first), guide_style="dim")
    branch = tree
    for link in links if first.manifest is not None else links[1:]:
        branch = branch.add(_label(link))
    return tree


def _list(links: Sequence[Link]) -> Table:
    """Each checkpoint with its number and those of its parents."""
    from rich.table import Table

    numbers = {link.digest: number for number, link in enumerate(links, 1)}
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="dim")
    table.add_column()
    for link in links:
        table.add_row(f"{numbers[link.digest]}.", f"{_label(link)}\n{_origin(link, numbers)}")
    return table


def _origin(link: Link, numbers: Mapping[str | None, int]) -> str:
    if link.manifest is None:
        return "[dim]its parents are unknown[/]"
    if not link.parents:
        return "[dim]from scratch[/]"
    return f"[dim]from {', '.join(str(numbers[digest]) for digest in link.parents)}[/]"


def _weights(adapter: dict[str, Any] | None) -> str:
    from rich.markup import escape

    if adapter is None:
        return "full weights"
    kind = f"adapter {escape(adapter.get('type', 'of another trainer'))}"
    return f"{kind}, merged into the weights" if adapter.get("merge") else kind


def _repeated(repeats: int) -> str:
    return f", repeated {'once' if repeats == 1 else f'{repeats:,} times'}" if repeats else ""


def _label(link: Link) -> str:
    from rich.markup import escape

    digest = (link.digest or "").removeprefix("sha256:")[:12]
    lines = [f"[bold]{escape(link.name)}[/]  {digest}  [dim]{STATUS_TEXT[link.status]}[/]"]
    manifest = link.manifest
    if manifest is not None:
        shares = [
            f"{escape(source.name)} {source.tokens / max(manifest.tokens, 1):.1%}" + _repeated(source.repeats)
            for source in manifest.sources
        ]
        weights = _weights(manifest.adapter)
        state = "" if manifest.finished else "unfinished, "
        averaged = len(link.parents) > 1
        trained = weights if averaged else f"step {manifest.step:,}, {weights}, seed {manifest.seed}"
        lines.append(f"{escape(manifest.stage)} {escape(manifest.name)}: {state}{trained}")
        if averaged:
            lines.append(f"{escape(str(manifest.arguments.get('method', 'made')))} of {len(link.parents)} checkpoints")
        else:
            schedule = escape(manifest.mixture.get("schedule", "no schedule"))
            lines.append(f"{manifest.tokens:,} tokens, {schedule}: {'; '.join(shares)}")
        if manifest.eval_data:
            lines.append(f"[yellow]trained on evaluation data: {escape(', '.join(manifest.eval_data))}[/]")
        if manifest.inherited_eval_data:
            inherited = escape(", ".join(manifest.inherited_eval_data))
            lines.append(f"[yellow]earlier stages were trained on evaluation data: {inherited}[/]")
    return "\n".join(lines)

"""`harness lineage`: the stages that made a checkpoint, from its root, as a tree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Print the tree; return 1 when the weights of a checkpoint in it have changed."""
    from rich.tree import Tree

    from harness.checkpoints.lineage import chain
    from harness.console import stdout

    links = chain(args.checkpoint)[::-1]
    first = links[0]
    tree = Tree("from scratch" if first.manifest is not None else _label(first), guide_style="dim")
    branch = tree
    for link in links if first.manifest is not None else links[1:]:
        branch = branch.add(_label(link))
    stdout(markup=True).print(tree)
    return 1 if any(link.status == "changed" for link in links) else 0


def _label(link: Link) -> str:
    from rich.markup import escape

    digest = (link.digest or "").removeprefix("sha256:")[:12]
    lines = [f"[bold]{escape(link.name)}[/]  {digest}  [dim]{STATUS_TEXT[link.status]}[/]"]
    manifest = link.manifest
    if manifest is not None:
        shares = [
            f"{escape(source.name)} {source.tokens / max(manifest.tokens, 1):.1%}"
            + (f", repeated {source.repeats} times" if source.repeats else "")
            for source in manifest.sources
        ]
        kind = (manifest.adapter or {}).get("type", "of another trainer")
        weights = f"adapter {escape(kind)}" if manifest.adapter is not None else "full weights"
        state = "" if manifest.finished else "unfinished, "
        progress = f"{state}step {manifest.step:,}, {weights}, seed {manifest.seed}"
        lines.append(f"{escape(manifest.stage)} {escape(manifest.name)}: {progress}")
        schedule = escape(manifest.mixture.get("schedule", "no schedule"))
        lines.append(f"{manifest.tokens:,} tokens, {schedule}: {'; '.join(shares)}")
        if manifest.eval_data:
            lines.append(f"[yellow]trained on evaluation data: {escape(', '.join(manifest.eval_data))}[/]")
        if manifest.inherited_eval_data:
            inherited = escape(", ".join(manifest.inherited_eval_data))
            lines.append(f"[yellow]earlier stages were trained on evaluation data: {inherited}[/]")
    return "\n".join(lines)

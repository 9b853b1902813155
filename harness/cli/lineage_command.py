"""`harness lineage`: how a checkpoint came to be, back to its root, as a tree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.checkpoints.lineage import Link

PURPOSE = "Show how a checkpoint came to be, back to its root."
SAYS = {
    "verified": "verified",
    "changed": "its weights are no longer those that were recorded",
    "missing": "not on this machine",
    "root": "from elsewhere",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a checkpoint folder or hub id")


def run(args: argparse.Namespace) -> int:
    """Print the tree; returns 1 when a checkpoint in it is not what was recorded."""
    from rich.tree import Tree

    from harness.checkpoints.lineage import chain
    from harness.console import stdout
    from harness.errors import CheckpointError

    try:
        links = chain(args.checkpoint)[::-1]
    except CheckpointError as error:
        raise CheckpointError(str(error).removeprefix("--model ")) from None  # a flag that this command does not have
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
    lines = [f"[bold]{escape(link.name)}[/]  {digest}  [dim]{SAYS[link.status]}[/]"]
    manifest = link.manifest
    if manifest is not None:
        shares = [
            f"{escape(source.name)} {source.tokens / max(manifest.tokens, 1):.1%}"
            + (f", begun anew {source.repeats} times" if source.repeats else "")
            for source in manifest.sources
        ]
        what = f"adapter {manifest.adapter['type']}" if manifest.adapter is not None else "full weights"
        state = "" if manifest.finished else "unfinished, "
        done = f"{state}step {manifest.step:,}, {what}, seed {manifest.seed}"
        lines.append(f"{escape(manifest.stage)} {escape(manifest.name)}: {done}")
        lines.append(f"{manifest.tokens:,} tokens, {manifest.mixture['schedule']}: {'; '.join(shares)}")
        if manifest.eval_data:
            lines.append(f"[yellow]trained on evaluation data: {escape(', '.join(manifest.eval_data))}[/]")
        if manifest.inherited_eval_data:
            inherited = escape(", ".join(manifest.inherited_eval_data))
            lines.append(f"[yellow]the stages before it were trained on evaluation data: {inherited}[/]")
    return "\n".join(lines)

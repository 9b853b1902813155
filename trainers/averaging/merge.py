"""Merge an adapter into its base, so that it can be averaged.

    python -m harness.trainers.averaging.merge ADAPTER DIR

The merged weights are written in float32. A stage's adapter keeps its manifest, so that its lineage stays known.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.lineage import manifest_of
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import write_manifest
from harness.console import quiet_libraries
from harness.errors import HarnessError, InputError
from harness.trainers.averaging.output import tokenizer_files
from harness.trainers.stage.merging import merge_adapter


def merge(source: str, out_dir: Path) -> None:
    """Write the merged model with its tokenizer and manifest.

    Raises:
        InputError: `source` is no adapter, or `out_dir` is not empty.
        HarnessError: the merged model does not compute what base and adapter compute.
    """
    import torch
    from transformers import AutoModelForCausalLM

    checkpoint = resolve(source)
    if checkpoint.adapter is None:
        raise InputError(f"{source}: is no adapter; give the folder of an adapter.")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise InputError(f"{out_dir}: exists already; give a new folder.")
    base = AutoModelForCausalLM.from_pretrained(checkpoint.weights, dtype=torch.float32)
    merge_adapter(base, checkpoint.adapter).save_pretrained(out_dir)
    for path in tokenizer_files(checkpoint):
        shutil.copyfile(path, out_dir / path.name)
    manifest = manifest_of(checkpoint)
    if manifest is not None:
        digest = checkpoint_digest(resolve(str(out_dir))) if manifest.finished else None
        adapter = {**(manifest.adapter or {}), "merge": True}
        write_manifest(out_dir, manifest.model_copy(update={"digest": digest, "adapter": adapter}))


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m harness.trainers.averaging.merge", description=__doc__)
    parser.add_argument("adapter", metavar="ADAPTER", help="folder or hub id of an adapter")
    parser.add_argument("out_dir", metavar="DIR", type=Path, help="a new folder for the merged model")
    args = parser.parse_args()
    quiet_libraries()
    try:
        merge(args.adapter, args.out_dir)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

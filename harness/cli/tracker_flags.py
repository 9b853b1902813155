"""The flags of `harness eval` that send results to a tracking service, and what they mean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from harness.cli.flag_values import pairs
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.evaluation.trackers import TrackerOptions

TRACKERS = {
    "--wandb_args": "log to Weights & Biases, with these arguments of wandb.init, such as project=stages mode=offline",
    "--wandb_config_args": "add to the configuration of the Weights & Biases run",
    "--trackio_args": "log to Trackio, with these arguments of trackio.init, such as project=stages",
    "--hf_hub_log_args": "push results to a data set of the hub, as lm-eval does, such as push_results_to_hub=True "
    "hub_results_org=my-lab",
}


def add_tracker_flags(group: argparse._ArgumentGroup) -> None:
    """Declare the flags."""
    for flag, purpose in TRACKERS.items():
        group.add_argument(flag, nargs="+", default=None, metavar="KEY=VALUE", help=purpose)


def tracker_options(args: argparse.Namespace) -> TrackerOptions:
    """Return the trackers that the flags ask for; a dry run has none. Raises: InputError: an argument is wrong."""
    from harness.evaluation.trackers import TrackerOptions

    if args.dry_run:
        return TrackerOptions()
    given = (args.wandb_args, args.wandb_config_args, args.trackio_args, args.hf_hub_log_args)
    wandb, config, trackio, hub = (
        None if words is None else pairs(flag, words) for flag, words in zip(TRACKERS, given, strict=True)
    )
    if config is not None and wandb is None:
        raise InputError("--wandb_config_args: needs --wandb_args; add it, or leave this flag out.")
    # As in lm-eval, samples go to trackers only with --log_samples.
    return TrackerOptions(
        wandb=wandb, wandb_config=config or {}, trackio=trackio, hub=hub, samples=bool(args.log_samples)
    )

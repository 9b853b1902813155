"""The consoles for results (standard output) and notes (standard error), and settings that keep libraries quiet."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any
from unittest import mock

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment

from harness.redaction import without_url_secrets
from harness.visible import say, visible
from harness.wrapping import wrapped

WIDTH_WHEN_PIPED = 120


class VisibleConsole(Console):
    """A console that shows `visible` text only; rich's own colours are not part of the text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, with the texts made visible."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)

    def on_broken_pipe(self) -> None:
        """Raise what Python raises when a reader such as `| head` ends first; rich would end the process."""
        raise BrokenPipeError


class VisibleFormatter(logging.Formatter):
    """A formatter of log messages whose text is `visible`, without passwords in URLs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, with its traceback if it has one."""
        return visible(without_url_secrets(super().format(record)))


def stdout(*, markup: bool = False) -> Console:
    """Return the console for results. In a pipe it is 120 columns wide, so that tables are not cut off.

    Without `markup`, brackets in names are printed as they are.
    """
    width = None if sys.stdout.isatty() else WIDTH_WHEN_PIPED
    console = VisibleConsole(file=sys.stdout, width=width, highlight=False, markup=markup)
    if console.is_dumb_terminal:  # rich takes it to be 80 columns wide, also where COLUMNS or the terminal differs
        console.size = ConsoleDimensions(*shutil.get_terminal_size())
    return console


def print_sentence(console: Console, words: str, style: str | None = None) -> None:
    """Print text: on a terminal with line breaks between words, otherwise as one line."""
    lines = wrapped(visible(words, one_line=True), console.width, whole_words=True) if console.is_terminal else [words]
    for line in lines:
        console.print(line, style=style, soft_wrap=True)


def stderr() -> Console:
    """Return the console for progress and notes."""
    return VisibleConsole(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


_silent: ContextVar[bool] = ContextVar("silent", default=False)


def note(text: str) -> None:
    """Print a line about work in progress on standard error, except within a block of `quietly`."""
    if not _silent.get():
        say(text, file=sys.stderr)


# Must be set before the libraries are imported. They turn off the libraries' progress bars and messages.
SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "true",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "DATASETS_VERBOSITY": "critical",  # it logs each error that it raises
    # lm-eval would bootstrap in worker processes; starting them takes longer than the 1,000 resamples used here.
    "LMEVAL_DISABLE_MULTIPROC": "1",
}


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def quiet_libraries() -> None:
    """Turn off libraries' progress bars and messages, except where the user has set the variable."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    logging.getLogger("DeepSpeed").addFilter(_is_error)  # it sets its own level, and writes to standard output


def show_messages(level: str) -> None:
    """Show this project's and lm-eval's messages from a level of `logging` on, such as ``INFO``."""
    for name in ("harness", "lm_eval"):
        logging.getLogger(name).setLevel(level)


# Read when the library is imported, and kept for the whole process; `quietly` does without them.
KEPT_FOR_EVER = {"TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"}
LOUD = ("lm_eval", "transformers", "datasets", "huggingface_hub", "DeepSpeed")


@contextmanager
def quietly() -> Iterator[None]:
    """Turn off notes, and libraries' progress bars and messages, within a block: for a process that is not ours alone.

    `quiet_libraries` changes the whole process. In a notebook, the user's own bars must still show afterwards.
    """
    from tqdm.std import TqdmWarning, tqdm

    begin = tqdm.__init__

    def without_bar(self: Any, *args: Any, **keywords: Any) -> None:
        begin(self, *args, **(keywords | {"disable": True}))

    with ExitStack() as stack:
        stack.callback(_silent.reset, _silent.set(True))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", category=TqdmWarning)  # bars in a notebook want ipywidgets; none are shown
        for name in SETTINGS.keys() - KEPT_FOR_EVER - os.environ.keys():
            os.environ[name] = SETTINGS[name]
            stack.callback(os.environ.pop, name, None)
        stack.enter_context(mock.patch.object(tqdm, "__init__", without_bar))
        for name in LOUD:
            stack.enter_context(_errors_only(logging.getLogger(name)))
        yield


@contextmanager
def _errors_only(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    logger.addFilter(_is_error)
    try:
        yield
    finally:
        logger.removeFilter(_is_error)
        # A library that was imported within the block gave its logger a handler, and the level that we wanted; left to
        # itself it shows warnings.
        logger.setLevel(level or (logging.WARNING if logger.handlers else logging.NOTSET))

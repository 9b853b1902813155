"""Import lm-eval's tasks and evaluator without libraries that most evaluations never use.

``lm_eval.api.task`` imports `datasets`, which takes most of a second, and uses it only to load a task's data from the
hub or from files. ``lm_eval.evaluator`` imports the package ``lm_eval.loggers`` for three small functions; the package
itself imports `datasets`, pandas and clients of tracking services.

While these two modules are imported, a stand-in takes the place of each library. Its first use imports the library. If
another version of lm-eval uses a library at once, it is imported at once; nothing else changes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

ON_DEMAND = ("datasets", "lm_eval.loggers")


class OnDemand(ModuleType):
    """Stands for a library until one of its names is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_lm_eval() -> None:
    """Import ``lm_eval.tasks`` and ``lm_eval.evaluator``."""
    with _stand_ins():
        importlib.import_module("lm_eval.tasks")
        importlib.import_module("lm_eval.evaluator")


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Let stand-ins be imported in the block. Afterwards an import statement imports the library."""
    stand_ins = {name: _stand_in(name) for name in ON_DEMAND if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def _stand_in(name: str) -> OnDemand:
    stand_in = OnDemand(name)
    spec = find_spec(name)
    if spec is None:
        return stand_in
    stand_in.__spec__, stand_in.__file__ = spec, spec.origin
    if "." in name:  # a package's modules can be imported without it: `from lm_eval.loggers.utils import ...`
        stand_in.__path__ = spec.submodule_search_locations or []
    return stand_in

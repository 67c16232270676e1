"""What a mule runs instead of waiting for messages: a script, or a callable of a module.

Runs in: the zygote, when it loads; the program itself in a mule.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable

from muleteer.errors import AppNotLoaded
from muleteer.serve.loader import load_callable

__all__ = ["load_program"]

Program = Callable[[], object]


def load_program(text: str, where: str) -> Program | None:
    """Return what `mule = …` names, ready to be called; None for a mule that waits for messages.

    A script is read when the mule runs it, as `__main__`; a module is imported now, before the
    fork.
    """
    if not text:
        return None
    if text.endswith(".py"):
        return _script(text, where)
    if ":" in text:
        return load_callable(text, where)
    raise AppNotLoaded(
        f"{where}: a mule runs a script (`.py`) or module:callable; without a value it waits"
        " for messages"
    )


def _script(path: str, where: str) -> Program:
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        raise AppNotLoaded(f"{where}: there is no such file in {os.getcwd()}; correct the path")

    def run() -> None:
        runpy.run_path(full, run_name="__main__")

    return run

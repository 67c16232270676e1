"""The code that a process has loaded, for `py-autoreload`: its files, told to the master once each.

Every child tells of its own, so that what only a mule or a task imports is watched, too.  For
development: it costs a look at a number between two pieces of work.

Runs in: the zygote and the children.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Collection, Iterable, Iterator

from muleteer.runtime import Runtime

__all__ = ["CodeReporter", "files_in", "files_of"]

_FILES_PER_MESSAGE = 100
_OURS = ("muleteer", "uwsgidecorators", "django_uwsgi")


def _installed() -> tuple[str, ...]:
    """Where code lies that nobody edits: Python's own, and packages."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {os.path.realpath(sysconfig.get_path(name)) for name in names}
    return tuple(os.path.join(path, "") for path in paths)


class CodeReporter:
    """Tells the master which files of code there are, the new ones only."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ignored = frozenset(runtime.settings.py_auto_reload_ignore)
        self._modules = 0
        self._told: set[str] = set()

    def report(self, *more: str) -> None:
        """Tell of what was imported since the last time, and of some files beside."""
        if len(sys.modules) == self._modules and not more:
            return
        self._modules = len(sys.modules)
        found = {*files_of(dict(sys.modules).items(), self._ignored), *more} - self._told
        self._told |= found
        paths = sorted(found)
        for at in range(0, len(paths), _FILES_PER_MESSAGE):
            self._runtime.tell_master("code", paths=paths[at : at + _FILES_PER_MESSAGE])


def files_of(modules: Iterable[tuple[str, object]], ignored: Collection[str]) -> Iterator[str]:
    """The source files of modules that somebody may edit."""
    installed = _installed()
    for name, module in modules:
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not path.endswith(".py"):
            continue
        if name in ignored or name.partition(".")[0] in _OURS:
            continue
        path = os.path.abspath(path)
        if not os.path.realpath(path).startswith(installed):
            yield path


def files_in(error: BaseException) -> Iterator[str]:
    """The files of code that an error went through, and the one it could not read."""
    installed = _installed()
    names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        names.append(error.filename)
    for name in names:
        path = os.path.abspath(name)
        if os.path.isfile(path) and not os.path.realpath(path).startswith(installed):
            yield path

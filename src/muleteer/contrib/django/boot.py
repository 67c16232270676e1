"""Django at the server's start: set it up before anything of the project is imported.

Not here: serving (Django's handler is a WSGI application like any other).
Django is imported late, and only by these functions: it need not be installed.

Runs in: the zygote (`prepare`, `close_before_fork`); a child around a task or a signal handler.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from muleteer.errors import StartError

__all__ = ["around_task", "close_before_fork", "prepare"]

_SETTINGS = "DJANGO_SETTINGS_MODULE"


class BootSettings(Protocol):
    """The options `prepare` reads."""

    @property
    def module(self) -> str | None: ...
    @property
    def import_(self) -> tuple[str, ...]: ...
    @property
    def shared_import(self) -> tuple[str, ...]: ...
    @property
    def spooler_import(self) -> tuple[str, ...]: ...
    def where(self, name: str, /) -> str: ...


def prepare(settings: BootSettings) -> None:
    """Call `django.setup()` for a site whose configuration never does.

    It is needed when the application is Django's own handler, or when modules of a Django project
    are imported before the application is. StartError says which of Django, the settings module
    and its name is missing.
    """
    handler = (settings.module or "").startswith("django.")
    name = os.environ.get(_SETTINGS, "")
    ahead = settings.import_ or settings.shared_import or settings.spooler_import
    if not handler and not (name and ahead):
        return
    if importlib.util.find_spec("django") is None:
        if handler:
            raise StartError(_no_django(settings.where("module")))
        return  # the variable is somebody else's
    if not name:
        origin = settings.where("module")
        raise StartError(
            f"{origin}: Django needs the name of its settings module;"
            f" add `env = {_SETTINGS}=PROJECT.settings`"
        )
    _set_up(name)


def close_before_fork() -> None:
    """Close the database connections that imports opened; two processes cannot share one."""
    if "django.db" in sys.modules:
        _db().connections.close_all()


@contextmanager
def around_task() -> Iterator[None]:
    """Treat a task as Django treats a request: no connection is older than CONN_MAX_AGE.

    Nor is one used that the database has closed meanwhile.
    """
    if "django.db" not in sys.modules:
        yield
        return
    _db().reset_queries()
    _db().close_old_connections()
    try:
        yield
    finally:
        _db().close_old_connections()


def _set_up(name: str) -> None:
    try:
        importlib.import_module("django").setup()
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != name and not name.startswith(missing + "."):
            raise  # the settings are there; something they need is not
        raise StartError(_no_settings(name, missing)) from None


def _no_settings(name: str, missing: str) -> str:
    searched = ", ".join(path or "." for path in sys.path[:4])
    where = "" if missing == name else f" (there is no {missing!r})"
    return (
        f"{_SETTINGS}={name}: there is no such module{where}; sys.path begins with {searched}:"
        " set `pythonpath` to the directory that holds the project, or correct the name"
    )


def _no_django(origin: str) -> str:
    return (
        f"{origin}: Django is not installed in {sys.prefix};"
        f" `{sys.executable} -m pip install django`, or set `virtualenv` to where it is"
    )


def _db() -> Any:
    return importlib.import_module("django.db")

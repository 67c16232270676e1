"""The `uwsgi` module the decorators stand on, whatever server's it is; None without one.

Runs in: anywhere the application is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

try:
    import uwsgi
except ImportError:  # outside the server
    uwsgi = None

__all__ = ["check_ours", "full_name", "is_ours", "log", "on_function", "uwsgi"]

log = logging.getLogger("muleteer.app")


def full_name(function: Any) -> str:
    """Return a function's module and qualified name."""
    if isinstance(function, partial):
        function = function.args[-1]
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', function)}"


def is_ours() -> bool:
    """Is the server muleteer? Not so without one."""
    return hasattr(uwsgi, "muleteer_version")


def check_ours(where: str, what: str) -> None:
    """Say clearly that a server which is not muleteer cannot do this."""
    if uwsgi is not None and not is_ours():
        raise RuntimeError(f"{where}: {what} is muleteer's own; this server is uWSGI")


def on_function(decorate: Callable[[Any], Any], function: Any, decorator: str) -> Any:
    """Decorate a function, or the one inside a static or class method, which stays one."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(decorate(function.__func__))
    if not callable(function):
        raise TypeError(f"@{decorator} decorates a function, not {function!r}")
    return decorate(function)

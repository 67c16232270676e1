"""The `uwsgi` module the decorators stand on, whatever server's it is; None without one.

Runs in: anywhere the application is imported.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

try:
    import uwsgi
except ImportError:  # outside the server
    uwsgi = None

__all__ = ["full_name", "log", "uwsgi"]

log = logging.getLogger("muleteer.app")


def full_name(function: Any) -> str:
    """Return a function's module and qualified name."""
    if isinstance(function, partial):
        function = function.args[-1]
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', function)}"

"""The Django page as a site with a spooled task, a mule and a timer; `/born` says when it loaded.

Where the server is no uWSGI there are no tasks, and the page is all.

Runs in: every server of `benchmarks/life.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from bench_django import application as page

try:
    import uwsgi
except ImportError:
    uwsgi = None

BORN = repr(time.monotonic()).encode()


def do(*_: object) -> int:
    """A task, a message, a timer's tick: nothing to do."""
    return -2  # SPOOL_OK


if uwsgi is not None:
    uwsgi.spooler = do
    uwsgi.mule_msg_hook = do
    uwsgi.register_signal(17, "mule1", do)
    uwsgi.add_timer(17, 60)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django's page, or when this code was loaded."""
    if environ["PATH_INFO"] != "/born":
        return page(environ, start_response)
    start_response("200 OK", [("Content-Length", str(len(BORN)))])
    return [BORN]

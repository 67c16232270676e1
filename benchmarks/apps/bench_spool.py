"""The spooled task of the benchmark, and a page that enqueues it: `/?count=1000&gap=0.01`.

It uses uWSGI's own names only, so that it runs on both servers.

Runs in: muleteer and real uWSGI, their workers and spoolers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from bench_record import enqueue_all, record

from uwsgidecorators import spool


@spool
def note(arguments: dict[str, str]) -> None:
    """The task."""
    record(float(arguments["sent"]))


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Enqueue as many as the query says and answer with the seconds that took; alone say hello."""
    asked = dict(parse_qsl(environ["QUERY_STRING"]))
    count, gap_s = int(asked.get("count", 0)), float(asked.get("gap", 0))
    seconds = enqueue_all(lambda sent: note.spool(sent=repr(sent)), count, gap_s)
    answer = b"%r" % seconds
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]

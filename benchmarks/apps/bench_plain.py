"""The plain WSGI application that every server answers with: hello, 10 KB, 1 MB, a body read.

Nothing of it is any server's own; what it costs is the same for all.

Runs in: every server of a benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

ANSWERS = {
    "/": b"Hello, World!",
    "/10k": b"x" * 10_240,
    "/1m": b"x" * 1_048_576,
}
HEADERS = {
    path: [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    for path, body in ANSWERS.items()
}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The bytes of a path; under /read the number of bytes that were sent."""
    path = environ["PATH_INFO"]
    if path != "/read":
        start_response("200 OK", HEADERS[path])
        return [ANSWERS[path]]
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = b"%d" % len(body)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]

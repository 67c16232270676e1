"""What every protocol's request gets from this server: the environ's fixed part, and its input.

It reads no request (wire does) and answers none (wsgi does).
Runs in: workers.
"""

from __future__ import annotations

import io
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Protocol, cast

from muleteer.wire.request import Request, Spill

__all__ = [
    "FileWrapper",
    "LogSettings",
    "ServeSettings",
    "WSGIApplication",
    "environ_template",
    "http_template",
    "make_spill",
    "open_input",
]

UWSGI_VERSION = b"2.0.31"
"""The uWSGI whose environ this is; applications compare it."""

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class LogSettings(Protocol):
    """The options that the request log reads."""

    @property
    def disable_logging(self) -> bool: ...
    @property
    def log_format(self) -> str | None: ...
    @property
    def json_logs(self) -> bool: ...
    @property
    def log_micros(self) -> bool: ...
    @property
    def log_x_forwarded_for(self) -> bool: ...
    @property
    def log_4xx(self) -> bool: ...
    @property
    def log_5xx(self) -> bool: ...
    @property
    def log_slow(self) -> int: ...
    @property
    def log_big(self) -> int: ...
    @property
    def log_zero(self) -> bool: ...


class ServeSettings(LogSettings, Protocol):
    """The options that serving reads."""

    @property
    def processes(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def harakiri(self) -> float | None: ...
    @property
    def buffer_size(self) -> int: ...
    @property
    def limit_post(self) -> int: ...
    @property
    def post_buffering(self) -> int: ...
    @property
    def http_timeout(self) -> float: ...
    @property
    def http_keepalive(self) -> float: ...
    @property
    def socket_timeout(self) -> float: ...
    @property
    def worker_reload_mercy(self) -> float: ...


class FileWrapper:
    """`wsgi.file_wrapper`: a file as a body, sent by the kernel where it is a real file."""

    __slots__ = ("block_size", "filelike")

    def __init__(self, filelike: IO[bytes], block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self.block_size):
            yield block

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    def extent(self) -> tuple[int, int, int] | None:
        """(descriptor, offset, bytes from there to the end); None when it is no real file."""
        try:
            fd = self.filelike.fileno()
            offset = self.filelike.tell()
            size = os.fstat(fd).st_size
        except (AttributeError, OSError, ValueError):
            return None
        return (fd, offset, size - offset) if size > 0 and offset <= size else None


def environ_template(settings: ServeSettings) -> dict[str, Any]:
    """The variables that are the same in every request of this process."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": None,  # in its place, so that no dict grows for it later
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": settings.threads > 1,
        "wsgi.multiprocess": settings.processes > 1,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "uwsgi.version": UWSGI_VERSION,
        "uwsgi.node": socket.gethostname().encode(),
    }


def http_template(base: dict[str, Any], listener: socket.socket) -> dict[str, Any]:
    """`base` and what a front server would have sent: who we are.  The peer is added per client."""
    address = listener.getsockname()
    port = str(address[1]) if isinstance(address, tuple) else "80"  # it may not be empty
    return base | {
        "SCRIPT_NAME": "",
        "SERVER_NAME": socket.gethostname(),
        "SERVER_PORT": port,
        "REMOTE_ADDR": "",
    }


def make_spill() -> Spill:
    """A file without a name for a body too large for memory; it goes when it is closed."""
    return cast("Spill", tempfile.TemporaryFile(prefix="muleteer-body-"))


def open_input(request: Request) -> IO[bytes]:
    """`wsgi.input`, at its beginning."""
    body = request.body
    if isinstance(body, bytes):
        return io.BytesIO(body)
    spilled = cast("IO[bytes]", body)
    spilled.seek(0)
    return spilled

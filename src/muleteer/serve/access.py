"""The line a request leaves in the log, in uWSGI's default format.

It formats; whoever asked for lines writes them.
Runs in: workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from muleteer.serve.wsgi import Response

__all__ = ["AccessLog", "size_of_variables"]


def size_of_variables(variables: dict[str, Any], fixed: int) -> tuple[int, int]:
    """(variables, bytes) as uWSGI counts them: a name and a value are two, each with its length."""
    size = sum(
        len(key) + len(value) + 4
        for key, value in variables.items()
        if type(value) is str and key[:5] != "wsgi."
    )
    return (len(variables) - fixed) * 2, size


class AccessLog:
    """Makes the lines of one thread of one worker."""

    def __init__(
        self, pid: int, core: int, count_requests: Callable[[], int] | None = None
    ) -> None:
        self._pid = pid
        self._core = core
        self._second = -1
        self._ctime = ""
        self._count = 0
        self._count_requests = count_requests

    def line(
        self,
        response: Response,
        variables: dict[str, Any],
        counted: tuple[int, int],
        seconds: float,
    ) -> str:
        """One request's line, without a line end."""
        request, head = response.request, response.head
        self._count += 1
        total = self._count_requests() if self._count_requests else self._count
        get = variables.get
        code, headers, size = (
            (head.code, head.count, head.size + len(request.protocol)) if head else (0, 0, 0)
        )
        via = "via sendfile() " if response.handed_over else ""
        return (
            f"[pid: {self._pid}|app: 0|req: {self._count}/{total}] {get('REMOTE_ADDR', '')} "
            f"({get('REMOTE_USER', '')}) {{{counted[0]} vars in {counted[1]} bytes}} "
            f"[{self._now()}] {request.method} {request.target} => generated {response.sent} bytes "
            f"{via}in {int(seconds * 1000)} msecs ({request.protocol} {code}) "
            f"{headers} headers in {size} bytes (1 switches on core {self._core})"
        )

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._ctime = time.ctime(second)
        return self._ctime

"""The line a request leaves in the log: uWSGI's default one, one of a `log-format`, or JSON.

It decides which requests leave one, and formats; whoever asked for lines writes them.
Runs in: workers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from muleteer.serve.logformat import Entry, compile_format, counts_variables
from muleteer.serve.request import LogSettings
from muleteer.serve.wsgi import Response

__all__ = ["AccessLog", "RequestNotes", "Rules", "size_of_variables"]


class RequestNotes:
    """What the application says of the request it runs: for its line, by uWSGI's functions."""

    __slots__ = ("is_wanted", "logvars")

    def __init__(self) -> None:
        self.logvars: dict[str, str] = {}
        self.is_wanted = False
        """`log_this_request()` was called: there is a line, whatever the options say."""

    def forget(self) -> None:
        """The request is over."""
        self.is_wanted = False
        self.logvars = {}


@dataclass(frozen=True, slots=True)
class Rules:
    """Which requests leave a line although `disable-logging` is set; 0 switches a limit off."""

    client_errors: bool = False
    server_errors: bool = False
    slow_ms: int = 0
    big: int = 0
    empty: bool = False

    @classmethod
    def of(cls, settings: LogSettings) -> Rules:
        """Return what the options say."""
        return cls(
            settings.log_4xx,
            settings.log_5xx,
            settings.log_slow,
            settings.log_big,
            settings.log_zero,
        )

    def match(self, response: Response, seconds: float) -> bool:
        """Is the request one of those?"""
        code = response.status
        return bool(
            (self.client_errors and 400 <= code <= 499)
            or (self.server_errors and 500 <= code <= 599)
            or (self.slow_ms and seconds * 1000 >= self.slow_ms)
            or (self.big and response.sent >= self.big)
            or (self.empty and not response.sent)
        )


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
        self,
        pid: int,
        core: int,
        count_requests: Callable[[], int] | None = None,
        *,
        worker: int = 0,
        settings: LogSettings | None = None,
    ) -> None:
        self.notes = RequestNotes()
        self.is_always_wanted = settings is None or not settings.disable_logging
        self.counts_variables = True
        rules = Rules.of(settings) if settings else None
        self._rules = rules if rules != Rules() else None  # without a limit nothing is compared
        self._pid, self._core, self._worker = pid, core, worker
        self._second = -1
        self._ctime = ""
        self._count = 0
        self._count_requests = count_requests
        self._unit = ("micros", 1e6) if settings and settings.log_micros else ("msecs", 1e3)
        self._forwarded = settings is not None and settings.log_x_forwarded_for
        self._make: Callable[[Entry], str] = self._default
        if settings and settings.json_logs:
            self._make, self.counts_variables = self._json, False
        elif settings and settings.log_format:
            self.counts_variables = counts_variables(settings.log_format)
            self._make = compile_format(settings.log_format)
        if not self.is_always_wanted and self._rules is None:
            self.counts_variables = False

    def wants(self, response: Response, seconds: float) -> bool:
        """Has the request a line of its own right, where not all have one?"""
        return self.notes.is_wanted or (
            self._rules is not None and self._rules.match(response, seconds)
        )

    def line(
        self,
        response: Response,
        variables: Mapping[str, Any],
        counted: tuple[int, int],
        seconds: float,
    ) -> str:
        """One request's line, without a line end: nothing a client sends can forge a second one."""
        if self._forwarded and (address := variables.get("HTTP_X_FORWARDED_FOR")):
            variables = {**variables, "REMOTE_ADDR": address}
        entry = Entry(
            response, variables, counted, seconds, self.notes.logvars,
            self._pid, self._worker, self._core,
        )  # fmt: skip
        text = self._make(entry)
        if "\n" in text or "\r" in text:
            text = text.replace("\r", "\\r").replace("\n", "\\n")
        return text

    def _counts(self) -> tuple[int, int]:
        """The number of this line, and of the requests of all workers."""
        self._count += 1
        return self._count, self._count_requests() if self._count_requests else self._count

    def _default(self, entry: Entry) -> str:
        response = entry.response
        request = response.request
        count, total = self._counts()
        get = entry.variables.get
        headers = response.head.count if response.head else 0
        via = "via sendfile() " if response.handed_over else ""
        unit, factor = self._unit
        return (
            f"[pid: {self._pid}|app: 0|req: {count}/{total}] {get('REMOTE_ADDR', '')} "
            f"({get('REMOTE_USER', '')}) {{{entry.counted[0]} vars in {entry.counted[1]} bytes}} "
            f"[{self._now()}] {request.method} {request.target} => generated {response.sent} bytes "
            f"{via}in {int(entry.seconds * factor)} {unit} ({request.protocol} {response.status}) "
            f"{headers} headers in {response.head_size} bytes (1 switches on core {self._core})"
        )

    def _json(self, entry: Entry) -> str:
        response = entry.response
        request = response.request
        count, total = self._counts()
        get = entry.variables.get
        fields = {
            "time": round(entry.started, 6),
            "level": "INFO",
            "who": f"worker {self._worker}",
            "pid": self._pid,
            "core": self._core,
            "request": count,
            "requests": total,
            "addr": get("REMOTE_ADDR", ""),
            "user": get("REMOTE_USER", ""),
            "method": request.method,
            "uri": request.target,
            "proto": request.protocol,
            "host": get("HTTP_HOST", ""),
            "referer": get("HTTP_REFERER", ""),
            "uagent": get("HTTP_USER_AGENT", ""),
            "status": response.status,
            "rsize": response.sent,
            "hsize": response.head_size,
            "seconds": round(entry.seconds, 6),
        }
        return json.dumps(fields | ({"vars": entry.logvars} if entry.logvars else {}))

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._ctime = time.ctime(second)
        return self._ctime

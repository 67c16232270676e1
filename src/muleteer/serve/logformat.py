"""`log-format`: uWSGI's `%(name)` variables, compiled once into what makes a line.

A name that is none of them is a variable of the application's (`uwsgi.set_logvar`), and `-` when
that is not set.  Anything else stands for itself, a lone `%` too.
Runs in: workers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from muleteer.ipc.memory import OwnMemory
from muleteer.serve.wsgi import Response

__all__ = ["VARIABLES", "Entry", "compile_format", "counts_variables"]

_VARIABLE = re.compile(r"%\(([^)]+)\)")
_LTIME = "%d/%b/%Y:%H:%M:%S %z"
_memory = OwnMemory()


@dataclass(slots=True)
class Entry:
    """One answered request, as its line sees it."""

    response: Response
    variables: Mapping[str, Any]
    counted: tuple[int, int]
    """(variables, bytes) of the request, as uWSGI counts them."""
    seconds: float
    logvars: Mapping[str, str]
    pid: int
    worker: int
    core: int

    @property
    def started(self) -> float:
        """Wall time of the request's beginning."""
        return time.time() - self.seconds


Get = Callable[[Entry], object]


def _of(name: str) -> Get:
    return lambda entry: entry.variables.get(name) or "-"


VARIABLES: Mapping[str, Get] = {
    # -- the request
    "uri": lambda entry: entry.response.request.target,
    "method": lambda entry: entry.response.request.method,
    "proto": lambda entry: entry.response.request.protocol,
    "user": _of("REMOTE_USER"),
    "addr": _of("REMOTE_ADDR"),
    "host": _of("HTTP_HOST"),
    "uagent": _of("HTTP_USER_AGENT"),
    "referer": _of("HTTP_REFERER"),
    "cl": lambda entry: entry.variables.get("CONTENT_LENGTH") or 0,
    "vars": lambda entry: entry.counted[0],
    "pktsize": lambda entry: entry.counted[1],
    "modifier1": lambda _: 0,
    "modifier2": lambda _: 0,
    # -- the answer
    "status": lambda entry: entry.response.status,
    "rsize": lambda entry: entry.response.sent,
    "hsize": lambda entry: entry.response.head_size,
    "size": lambda entry: entry.response.sent + entry.response.head_size,
    "headers": lambda entry: entry.response.head.count if entry.response.head else 0,
    "werr": lambda _: 0,
    "rerr": lambda _: 0,
    "ioerr": lambda _: 0,
    # -- time
    "micros": lambda entry: int(entry.seconds * 1e6),
    "msecs": lambda entry: int(entry.seconds * 1e3),
    "secs": lambda entry: f"{entry.seconds:.6f}",
    "time": lambda entry: int(entry.started),
    "tmsecs": lambda entry: int(entry.started * 1e3),
    "tmicros": lambda entry: int(entry.started * 1e6),
    "ltime": lambda entry: time.strftime(_LTIME, time.localtime(entry.started)),
    "ftime": lambda entry: time.strftime(_LTIME, time.localtime(entry.started)),
    "ctime": lambda entry: time.ctime(entry.started),
    "epoch": lambda _: int(time.time()),
    # -- the process
    "pid": lambda entry: entry.pid,
    "wid": lambda entry: entry.worker,
    "core": lambda entry: entry.core,
    "switches": lambda _: 1,
    "rss": lambda _: _memory.now().rss,
    "vsz": lambda _: _memory.now().vsz,
    "rssM": lambda _: _memory.now().rss >> 20,
    "vszM": lambda _: _memory.now().vsz >> 20,
}
"""uWSGI's names; `var.NAME` and those of the application come beside them."""

_COUNTED = ("vars", "pktsize")


def compile_format(text: str) -> Callable[[Entry], str]:
    """What makes a line of an entry."""
    template: list[str] = []
    getters: list[Get] = []
    place = 0
    for match in _VARIABLE.finditer(text):
        template += [text[place : match.start()].replace("%", "%%"), "%s"]
        getters.append(_getter(match[1]))
        place = match.end()
    whole = "".join([*template, text[place:].replace("%", "%%")])
    return lambda entry: whole % tuple([get(entry) for get in getters])


def counts_variables(text: str) -> bool:
    """Does the format ask how many variables a request had? Counting them takes a while."""
    return any(name in _COUNTED for name in _VARIABLE.findall(text))


def _getter(name: str) -> Get:
    if name in VARIABLES:
        return VARIABLES[name]
    kind, _, rest = name.partition(".")
    if kind == "var":
        return _of(rest)
    if kind == "metric":  # of uWSGI's own metrics, which are not there
        return lambda _: 0
    return lambda entry: entry.logvars.get(name, "-")

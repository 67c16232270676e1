"""`log-format`: uWSGI's variables, and what is none of them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from muleteer.serve.logformat import VARIABLES, Entry, compile_format, counts_variables
from muleteer.serve.wsgi import Response
from muleteer.wire.request import Request
from muleteer.wire.response import ResponseHead

SENT = {
    "REMOTE_ADDR": "1.2.3.4",
    "HTTP_HOST": "example.org",
    "HTTP_USER_AGENT": "curl 100%",
    "CONTENT_LENGTH": "3",
    "HTTP_X": "y",
}


def entry(variables: dict[str, Any] | None = None, **changes: Any) -> Entry:
    variables = SENT if variables is None else variables
    request = Request(variables, "GET", "/a?b", "HTTP/1.1", b"", True, True)
    response = Response(request, None)  # type: ignore[arg-type]
    response.head = ResponseHead("200 OK", [("A", "b")])
    response.sent = 13
    known: dict[str, Any] = {
        "response": response,
        "variables": variables,
        "counted": (32, 373),
        "seconds": 0.0125,
        "logvars": {"mine": "yours"},
        "pid": 7,
        "worker": 2,
        "core": 1,
    }
    return Entry(**(known | changes))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("%(method) %(uri) %(proto)", "GET /a?b HTTP/1.1"),
        ("%(addr) %(host) %(uagent)", "1.2.3.4 example.org curl 100%"),
        ("%(user) %(referer)", "- -"),
        ("%(status) %(headers) %(rsize)", "200 1 13"),
        ("%(cl) %(vars) %(pktsize)", "3 32 373"),
        ("%(micros) %(msecs) %(secs)", "12500 12 0.012500"),
        ("%(pid) %(wid) %(core) %(switches)", "7 2 1 1"),
        ("%(modifier1) %(modifier2) %(werr) %(rerr) %(ioerr)", "0 0 0 0 0"),
        ("%(var.HTTP_X) %(var.NO)", "y -"),
        ("%(mine) %(nobodys)", "yours -"),
        ("%(metric.worker.1.requests)", "0"),
        ("100% %% %d %s %(unclosed", "100% %% %d %s %(unclosed"),
        ("", ""),
    ],
)
def test_a_format_makes_a_line(text: str, line: str) -> None:
    """uWSGI's names, the request's variables, the application's own; the rest as it stands."""
    assert compile_format(text)(entry()) == line


def test_sizes_add_up() -> None:
    """`size` is the head's and the body's."""
    hsize, size = compile_format("%(hsize) %(size)")(entry()).split()
    assert int(size) == int(hsize) + 13
    assert int(hsize) == len("HTTP/1.1 200 OK\r\nA: b\r\n\r\n")


def test_times_are_those_of_the_beginning() -> None:
    """In seconds, milli- and microseconds, and as people write them."""
    before = time.time()
    line = compile_format("%(time)|%(tmsecs)|%(tmicros)|%(epoch)|%(ltime)|%(ctime)")(
        entry(seconds=100.0)
    )
    seconds, msecs, micros, epoch, ltime, ctime = line.split("|")
    assert before - 101 < int(seconds) <= before - 99
    assert int(msecs) // 1000 - int(seconds) in (0, 1)
    assert int(micros) // 1_000_000 - int(seconds) in (0, 1)
    assert int(epoch) - int(seconds) in (99, 100, 101)
    assert re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", ltime)
    assert re.fullmatch(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}", ctime)


def test_no_answer_has_zeros() -> None:
    """A request that was never answered still has a line."""
    nothing = entry()
    nothing.response.head = None
    assert compile_format("%(status) %(headers) %(hsize)")(nothing) == "0 0 0"


def test_every_variable_can_be_asked_for() -> None:
    """None raises, none is empty; with an empty request, too."""
    for variables in (SENT, {}):
        for name in VARIABLES:
            assert compile_format(f"%({name})")(entry(variables)), name


def test_counting_is_known_to_be_asked_for() -> None:
    """Only two names need the variables counted."""
    assert counts_variables("%(uri) %(vars)")
    assert counts_variables("%(pktsize)")
    assert not counts_variables("%(uri) %(var.vars) vars")

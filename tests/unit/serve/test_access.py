"""The request line in the log: uWSGI's default format, word for word."""

from __future__ import annotations

import re
from typing import Any

from muleteer.serve.access import AccessLog, size_of_variables
from muleteer.serve.wsgi import Response
from muleteer.wire.request import Request
from muleteer.wire.response import ResponseHead

UWSGI = re.compile(
    r"\[pid: \d+\|app: \d+\|req: \d+/\d+\] \S* \(\S*\) \{\d+ vars in \d+ bytes\} "
    r"\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\] \S+ \S* => generated \d+ bytes "
    r"(via sendfile\(\) )?in \d+ msecs \(\S+ \d+\) \d+ headers in \d+ bytes "
    r"\(\d+ switches on core \d+\)"
)


def line_of(variables: dict[str, Any], **changes: Any) -> str:
    request = Request(variables, "GET", "/a?b", "HTTP/1.1", b"", True, True)
    response = Response(request, None)  # type: ignore[arg-type]
    response.head = ResponseHead("200 OK", [("A", "b")])
    response.sent = 13
    for name, value in changes.items():
        setattr(response, name, value)
    return AccessLog(pid=7, core=2).line(response, variables, (32, 373), 0.0125)


def test_the_line_is_uwsgis() -> None:
    """What reads uWSGI's log reads ours."""
    line = line_of({"REMOTE_ADDR": "1.2.3.4", "REMOTE_USER": "joe"})
    assert UWSGI.fullmatch(line)
    assert line.startswith("[pid: 7|app: 0|req: 1/1] 1.2.3.4 (joe) {32 vars in 373 bytes} [")
    assert "] GET /a?b => generated 13 bytes in 12 msecs (HTTP/1.1 200) 1 headers in" in line
    assert line.endswith("(1 switches on core 2)")


def test_the_requests_of_all_workers_can_be_counted() -> None:
    """The second number is the whole server's."""
    response = Response(Request({}, "GET", "/", "HTTP/1.1", b"", True, True), None)  # type: ignore[arg-type]
    line = AccessLog(7, 0, lambda: 99).line(response, {}, (0, 0), 0.0)
    assert "|req: 1/99]" in line


def test_a_file_sent_by_the_kernel_is_named() -> None:
    """`via sendfile()` stands where uWSGI puts it."""
    assert UWSGI.fullmatch(line_of({}, handed_over=True))
    assert "bytes via sendfile() in" in line_of({}, handed_over=True)


def test_a_request_that_gave_nothing_has_a_line_too() -> None:
    """Without an answer the status is 0."""
    assert "(HTTP/1.1 0) 0 headers in 0 bytes" in line_of({}, head=None)


def test_variables_are_counted_as_uwsgi_counts_them() -> None:
    """A name and a value are two; their bytes are those of the packet."""
    variables = {"A": "bc", "PATH_INFO": "/", "wsgi.url_scheme": "http", "wsgi.input": None}
    assert size_of_variables(variables, 2) == (4, (1 + 2 + 4) + (9 + 1 + 4))

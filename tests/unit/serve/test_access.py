"""The request line in the log: uWSGI's default format, word for word."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.contract.serving import Options

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


# -- formats ------------------------------------------------------------------------------


def log_of(**options: Any) -> AccessLog:
    return AccessLog(7, 2, lambda: 9, worker=3, settings=Options(**options))


def response_to(variables: dict[str, Any], status: str = "200 OK", sent: int = 13) -> Response:
    request = Request(variables, "GET", "/a", "HTTP/1.1", b"", True, True)
    response = Response(request, None)  # type: ignore[arg-type]
    response.head = ResponseHead(status, [])
    response.sent = sent
    return response


def test_a_log_format_takes_the_place_of_the_default() -> None:
    """With the application's own variables in it."""
    log = log_of(log_format="%(method) %(uri) %(mine) on %(wid)")
    log.notes.logvars["mine"] = "yours"
    assert log.line(response_to({}), {}, (0, 0), 0.1) == "GET /a yours on 3"
    log.notes.forget()
    assert log.line(response_to({}), {}, (0, 0), 0.1) == "GET /a - on 3"


def test_json_is_json() -> None:
    """Whatever a client sent; with the application's variables in `vars`."""
    log = log_of(json_logs=True)
    log.notes.logvars["a"] = 'b"\n'
    variables = {"REMOTE_ADDR": "1.2.3.4", "HTTP_USER_AGENT": 'x"\n\xe9'}
    found = json.loads(log.line(response_to(variables), variables, (0, 0), 0.25))
    assert (found["addr"], found["uagent"], found["vars"]) == ("1.2.3.4", 'x"\n\xe9', {"a": 'b"\n'})
    assert (found["status"], found["seconds"], found["who"]) == (200, 0.25, "worker 3")
    assert (found["request"], found["requests"], found["core"]) == (1, 9, 2)


def test_micros_and_forwarded_clients() -> None:
    """`log-micros` and `log-x-forwarded-for` change the default line, as in uWSGI."""
    log = log_of(log_micros=True, log_x_forwarded_for=True)
    variables = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "9.9.9.9"}
    line = log.line(response_to(variables), variables, (0, 0), 0.25)
    assert "] 9.9.9.9 () {" in line
    assert " in 250000 micros (" in line
    assert "] 127.0.0.1 () {" in log.line(response_to({}), {"REMOTE_ADDR": "127.0.0.1"}, (0, 0), 0)


def test_nothing_a_client_sends_forges_a_line() -> None:
    """A line end in a variable, which a front server may let through, stays in its line."""
    for options in ({}, {"log_format": "%(uagent) %(addr)"}):
        evil = {"HTTP_USER_AGENT": "x\r\n[pid: 1|app: 0] root", "REMOTE_ADDR": "a\nb"}
        line = log_of(**options).line(response_to(evil), evil, (0, 0), 0.1)
        assert "\n" not in line
        assert "\r" not in line
        assert "a\\nb" in line


# -- which requests leave a line ----------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "wanted", "unwanted"),
    [
        ({"log_4xx": True}, ("404 Not Found", 1, 0.1), ("500 No", 1, 0.1)),
        ({"log_5xx": True}, ("503 No", 1, 0.1), ("404 Not Found", 1, 0.1)),
        ({"log_slow": 100}, ("200 OK", 1, 0.1), ("200 OK", 1, 0.0999)),
        ({"log_big": 10}, ("200 OK", 10, 0.1), ("200 OK", 9, 0.1)),
        ({"log_zero": True}, ("200 OK", 0, 0.1), ("200 OK", 1, 0.1)),
    ],
)
def test_some_requests_are_logged_all_the_same(
    rule: dict[str, Any], wanted: tuple[str, int, float], unwanted: tuple[str, int, float]
) -> None:
    """With `disable-logging` only what the rule is about."""
    log = log_of(disable_logging=True, **rule)
    assert not log.is_always_wanted
    assert log.counts_variables
    assert log.wants(response_to({}, *wanted[:2]), wanted[2])
    assert not log.wants(response_to({}, *unwanted[:2]), unwanted[2])


def test_an_application_may_ask_for_its_line() -> None:
    """`log_this_request()` counts for one request."""
    log = log_of(disable_logging=True)
    assert not log.counts_variables  # nobody pays for lines that nobody wants
    assert not log.wants(response_to({}), 0.1)
    log.notes.is_wanted = True
    assert log.wants(response_to({}), 0.1)
    log.notes.forget()
    assert not log.wants(response_to({}), 0.1)

"""What a client gets of what an application answers, well or wrongly.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Observe, rows_of
from tests.differential.looks import answer, answer_over_http, status_of, whole
from tests.differential.rows.environ import SETUP, get
from tests.harness import Server

row = rows_of("The answer to a request", SETUP)

FAILED = "HTTP/1.1 500 Internal Server Error"
CLOSED = ""
"""The connection is closed without a word."""

A_500 = "the client gets a 500, and the log the traceback"


def _head(path: str) -> str:
    return get(path).replace("GET", "HEAD")


def _with_log(observe: Observe, line: str) -> Observe:
    """The answer, once the log has the line."""

    def look(server: Server) -> object:
        answer = observe(server)
        server.wait_for(line)
        return answer

    return look


def _raw(status_or_header: str, view: str) -> Observe:
    """The answer's head, less the framing, to a made-up status or header."""
    return lambda server: _lines(whole(answer(view, QUERY_STRING=status_or_header))(server))


def _lines(found: object) -> object:
    assert isinstance(found, tuple)
    status, headers, _body = found
    return [status, *headers]


HEAD = ["HTTP/1.1 200 OK", "Content-Type: text/plain"]

CLAIMS = [
    row("status, headers in their order and body go out as they are", answer("/hello")),
    row("a status and a header of the application's own making", whole(answer("/reason"))),
    row("SERVER_PROTOCOL is echoed", answer("/hello", SERVER_PROTOCOL="HTTP/1.0")),
    row(
        "a status that is only a number is completed",
        whole(answer("/bad_status", QUERY_STRING="'200'")),
    ),
    row("the body of a list without a Content-Length", whole(answer("/unsized"))),
    row(
        "a list's Content-Length",
        answer("/unsized"),
        differs="it is added where the length is known, so that HTTP connections stay open",
        ours=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        theirs=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello",
    ),
    row("a generator's items go out one after the other", answer("/generated")),
    row("start_response may be called at the first item", answer("/late")),
    row("an empty list is an empty body", whole(answer("/nothing"))),
    row("204 has neither body nor length", answer("/empty")),
    row("bytes in place of a list are the body", whole(answer("/as_bytes"))),
    row("what `write()` is given goes out before the body", answer("/write")),
    row("a file of `wsgi.file_wrapper` goes out whole", whole(answer("/a_file"))),
    row("a file in small pieces, too", whole(answer("/a_file_in_pieces"))),
    row("and what is no real file", whole(answer("/not_a_file"))),
    row(
        "`close()` of the body is called at its end",
        _with_log(whole(answer("/closing", QUERY_STRING="one")), "closed one"),
    ),
    row(
        "HEAD: the body that the application returned anyway",
        answer("/hello", method="HEAD"),
        differs="it is not sent: HTTP forbids it, and a proxy would take it for the next answer",
        ours=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
        b"X-One: 1\r\nX-One: 2\r\n\r\n",
        theirs=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
        b"X-One: 1\r\nX-One: 2\r\n\r\nhello",
    ),
    row(
        "the application raises",
        status_of(answer("/crash")),
        differs=A_500,
        ours=FAILED,
        theirs=CLOSED,
    ),
    row(
        "the application raises behind start_response",
        status_of(answer("/crash_later")),
        differs=A_500,
        ours=FAILED,
        theirs="HTTP/1.1 200 OK",
    ),
    row("the application raises in the middle of the body", answer("/crash_in_body")),
    row(
        "the application calls sys.exit()",
        status_of(answer("/leave")),
        differs="the client gets a 500; the worker ends in both",
        ours=FAILED,
        theirs=CLOSED,
    ),
    row(
        "the application does not call start_response",
        answer("/silent"),
        differs=A_500,
        ours=b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 68\r\nConnection: close\r\n\r\n"
        b"500 Internal Server Error\nThe application failed; its log says why.\n",
        theirs=b"no status",
    ),
    row(
        "the application returns None",
        status_of(answer("/none")),
        differs=A_500,
        ours=FAILED,
        theirs="HTTP/1.1 200 OK",
    ),
    row(
        "the application returns a list of str",
        status_of(answer("/text")),
        differs=A_500 + "; there the body is silently empty",
        ours=FAILED,
        theirs="HTTP/1.1 200 OK",
    ),
    row(
        "start_response twice, the second time without exc_info",
        whole(answer("/twice")),
        differs="the second call raises, as PEP 3333 has it",
        ours=([*HEAD, "X-Try: 1"][0], [HEAD[1], "X-Try: 1"], b"raises BrokenResponse"),
        theirs=("HTTP/1.1 500 Again", [HEAD[1], "X-Try: 2"], b"no error"),
    ),
    row(
        "start_response twice, the second time with exc_info",
        whole(answer("/replaced")),
        differs="the body comes with it; there it is lost",
        ours=("HTTP/1.1 500 Replaced", ["X-Try: 2"], b"replaced"),
        theirs=("HTTP/1.1 500 Replaced", ["X-Try: 2"], b""),
    ),
    row("a header's value in latin-1", _raw("('X-A', '\\xe9')", "/bad_header")),
    row(
        "a header with a line break in it",
        _raw("('X-A', 'a\\r\\nX-Forged: b')", "/bad_header"),
        differs="it would forge a response: " + A_500,
        ours=[FAILED, "Content-Type: text/plain; charset=utf-8"],
        theirs=["HTTP/1.1 200 OK", "X-A: a", "X-Forged: b"],
    ),
    row(
        "a header that is a list, not a tuple",
        _raw("['X-A', 'a']", "/bad_header"),
        differs="it goes out; there the answer loses its headers and its body",
        ours=["HTTP/1.1 200 OK", "X-A: a"],
        theirs=["HTTP/1.1 200 OK"],
    ),
    row(
        "a header's value that is no str",
        _raw("('X-A', 1)", "/bad_header"),
        differs=A_500,
        ours=[FAILED, "Content-Type: text/plain; charset=utf-8"],
        theirs=["HTTP/1.1 200 OK"],
    ),
    row(
        "a header's value that no byte can hold",
        _raw("('X-A', '\\u20ac')", "/bad_header"),
        differs=A_500,
        ours=[FAILED, "Content-Type: text/plain; charset=utf-8"],
        theirs=["HTTP/1.1 200 OK"],
    ),
    row(
        "a status that has no number",
        _raw("'abc'", "/bad_status"),
        differs=A_500,
        ours=[FAILED, "Content-Type: text/plain; charset=utf-8"],
        theirs=["HTTP/1.1 abc Unknown", "Content-Type: text/plain"],
    ),
    row(
        "a status that is bytes",
        status_of(answer("/bad_status", QUERY_STRING="b'200 OK'")),
        differs=A_500,
        ours=FAILED,
        theirs=CLOSED,
    ),
    row("over HTTP: status, headers and body", whole(answer_over_http(get("/hello")))),
    row("over HTTP: a list without a Content-Length", whole(answer_over_http(get("/unsized")))),
    row("over HTTP: a file", whole(answer_over_http(get("/a_file")))),
    row("over HTTP: HTTP/1.0", whole(answer_over_http("GET /unsized HTTP/1.0"))),
    row("over HTTP: HTTP/1.0 gets no chunks", whole(answer_over_http("GET /generated HTTP/1.0"))),
    row(
        "over HTTP: the end of an answer whose length nobody knows",
        answer_over_http(get("/generated")),
        differs="chunks say where it ends, so that a piece is never taken for the whole",
        ours=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n",
        theirs=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\none two",
    ),
    row(
        "over HTTP: a body that breaks off",
        answer_over_http(get("/crash_in_body")),
        differs="the last chunk is missing, so that the client notices",
        ours=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n6\r\nbegun \r\n",
        theirs=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nbegun ",
    ),
    row(
        "over HTTP: HEAD",
        answer_over_http(_head("/hello")),
        differs="the body is not sent, and the connection could stay open",
        ours=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
        b"X-One: 1\r\nX-One: 2\r\nConnection: close\r\n\r\n",
        theirs=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
        b"X-One: 1\r\nX-One: 2\r\n\r\nhello",
    ),
]

"""Bodies of requests, and what comes over the sockets besides requests.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Observe, rows_of
from tests.differential.looks import answer, answer_over_http, packet, seen_in, status_of, whole
from tests.differential.rows.environ import SETUP, get
from tests.harness import http_raw, uwsgi_packet

body_row = rows_of("The body of a request", SETUP)
wire_row = rows_of("The uwsgi socket", SETUP)

LINES = b"abcdef\nghi\njklm\nnop\n123"
HELLO = {"REQUEST_METHOD": "GET", "PATH_INFO": "/hello", "SERVER_PROTOCOL": "HTTP/1.1"}
MOUNTED = HELLO | {"SCRIPT_NAME": "/sub", "PATH_INFO": "/sub/see"}
BAD = "HTTP/1.1 400 Bad Request"
A_400 = "the client gets a 400 that says what is wrong; there the connection is closed"


def _post(path: str, body: bytes, length: str | None = None) -> Observe:
    length = str(len(body)) if length is None else length
    return whole(answer(path, method="POST", body=body, CONTENT_LENGTH=length))


def _post_over_http(path: str, body: bytes, framing: str) -> Observe:
    head = get(path, framing).replace("GET", "POST")
    return whole(answer_over_http(head, body))


def _modifier(modifier1: int) -> Observe:
    return lambda server: packet(server, modifier1=modifier1)


def _bytes(data: bytes) -> Observe:
    return lambda server: http_raw(server.uwsgi, data)


CLAIMS = [
    body_row("it arrives whole", _post("/echo", b"0123456789" * 20000)),
    body_row("no more of it is read than CONTENT_LENGTH says", _post("/echo", b"abcdef", "3")),
    body_row("without a CONTENT_LENGTH there is none", _post("/echo", b"abcdef", "")),
    body_row(
        "a CONTENT_LENGTH that is no number",
        status_of(answer("/echo", method="POST", CONTENT_LENGTH="abc")),
        differs="the client gets a 400; there it is taken as 0",
        ours=BAD,
        theirs="HTTP/1.1 200 OK",
    ),
    body_row("`wsgi.input` gives lines", _post("/read_by_lines", LINES)),
    body_row(
        "`read`, `readline` and `readlines` of `wsgi.input`",
        _post("/read_in_pieces", LINES),
    ),
    body_row(
        "`readline(size)` of `wsgi.input`",
        _post("/read_little_lines", LINES),
        differs="the size counts, as PEP 3333 has it; there the whole line comes",
        ours=("HTTP/1.1 200 OK", ["Content-Type: text/plain"], b"[b'ab', b'cdef\\n']"),
        theirs=("HTTP/1.1 200 OK", ["Content-Type: text/plain"], b"[b'abcdef\\n', b'ghi\\n']"),
    ),
    body_row("an application that does not read it", _post("/unread", b"x" * 500000)),
    body_row(
        "over HTTP: it arrives whole",
        _post_over_http("/echo", b"0123456789" * 20000, "Content-Length: 200000"),
    ),
    body_row(
        "over HTTP: an application that does not read it",
        _post_over_http("/unread", b"x" * 500000, "Content-Length: 500000"),
    ),
    body_row(
        "over HTTP: in chunks",
        _post_over_http("/echo", b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        differs="`wsgi.input` gives it; there only the application's own chunked_read does",
        ours=("HTTP/1.1 200 OK", ["Content-Type: text/plain"], b"abc"),
        theirs=("HTTP/1.1 200 OK", ["Content-Type: text/plain"], b""),
    ),
    wire_row("ping is answered", _modifier(100)),
    wire_row("modifier 5, another language's", _modifier(5)),
    wire_row("modifier 22, code to run", _modifier(22)),
    wire_row(
        "modifiers 97, 98 and 99, management",
        lambda server: [packet(server, modifier1=number) for number in (97, 98, 99)],
    ),
    wire_row("modifier 173, RPC, of a function nobody has", _modifier(173)),
    wire_row("a modifier nobody knows", _modifier(199)),
    wire_row("modifier 17, a task over the network, without a spooler", _modifier(17)),
    wire_row(
        "modifier 110, a signal over the network",
        lambda server: packet(server, modifier1=110, modifier2=200),
    ),
    wire_row(
        "modifier 30 takes SCRIPT_NAME off PATH_INFO",
        lambda server: seen_in(packet(server, MOUNTED.items(), modifier1=30), only="PATH_INFO"),
        differs="so it is meant; there it has no effect on Python 3",
        ours={"PATH_INFO": "/see"},
        theirs={"PATH_INFO": "/sub/see"},
    ),
    wire_row(
        "modifier2 of a request does not matter",
        lambda server: packet(server, HELLO.items(), modifier2=1),
    ),
    wire_row(
        "without SERVER_PROTOCOL it is HTTP/1.0",
        lambda server: packet(server, [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/hello")]),
    ),
    wire_row(
        "the connection is closed behind one answer",
        _bytes(2 * uwsgi_packet((name.encode(), text.encode()) for name, text in HELLO.items())),
    ),
    wire_row(
        "variables of more than 4096 bytes",
        status_of(answer("/hello", HTTP_X_LONG="x" * 5000)),
        differs="`buffer-size` is 65535 unless set: today's cookies and tokens are that long",
        ours="HTTP/1.1 200 OK",
        theirs="",
    ),
    wire_row(
        "over HTTP: headers of more than 4096 bytes",
        status_of(answer_over_http(get("/hello", "X-Long: " + "x" * 5000))),
        differs="`buffer-size` is 65535 unless set",
        ours="HTTP/1.1 200 OK",
        theirs="",
    ),
    wire_row(
        "HTTP spoken to it",
        status_of(lambda server: http_raw(server.uwsgi, get("/").encode() + b"\r\n\r\n")),
        differs="the answer names the option that is meant",
        ours=BAD,
        theirs="",
    ),
    wire_row(
        "variables that do not end where the packet ends",
        status_of(_bytes(b"\0\x05\0\0\xff\xffabc")),
        differs=A_400,
        ours=BAD,
        theirs="",
    ),
    wire_row(
        "a variable without a name",
        status_of(lambda server: packet(server, [("", "x"), *HELLO.items()])),
        differs=A_400,
        ours=BAD,
        theirs="",
    ),
]

"""HTTP/1.x requests without sockets: bytes in, whole requests out.

httptools (llhttp) reads; what it accepts is narrowed here to what two readers cannot understand
in two ways.  It calls no application and knows no connection; responses are in response.py.
Runs in: workers.

Rules:
1. A request is whole or it is not there: its body has been read when `feed` returns it.
2. Variables are CGI's, as uWSGI's: latin-1 text, PATH_INFO unquoted, equal headers joined by
   a comma (cookies by a semicolon).
3. A header whose name has an underscore is dropped: as a variable it could not be told from
   the one with a dash, which a proxy in front may have vouched for.
4. `feed` never raises.  What is wrong stands in `failure`, after the requests that came before
   it, and nothing is read any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

import httptools

from muleteer.errors import Malformed, TooLarge, WireError
from muleteer.wire.request import (
    LENGTH_DIGITS,
    SCHEMES,
    Body,
    Limits,
    Request,
    Spill,
    Unkept,
    body_too_large,
)

__all__ = ["RequestReader"]

_CACHED_NAMES = 2000
_SPACE = 32
_OVERHEAD_PER_BYTE = 16
_STOPS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class _Methods(dict[bytes, str]):
    """A method as text; llhttp knows a few dozen and no others."""

    def __missing__(self, method: bytes) -> str:
        text = self[method] = method.decode("ascii")
        return text


_METHODS = _Methods()
_CLOSED = Malformed("the connection is closed")
_PROTOCOLS = {"1.1": "HTTP/1.1", "1.0": "HTTP/1.0"}


# -- requests --------------------------------------------------------------------------------------


class _VariableNames(dict[bytes, "str | None"]):
    """Header name -> CGI variable; None for a name that must be dropped.

    Names come from clients, so only so many are remembered.
    """

    def __missing__(self, name: bytes) -> str | None:
        upper = name.decode("latin-1").upper()
        key: str | None = "HTTP_" + upper.replace("-", "_")
        if "_" in upper:
            key = None
        elif upper in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            key = upper.replace("-", "_")
        if len(self) < _CACHED_NAMES:
            self[name] = key
        return key


_VARIABLE_NAMES = _VariableNames()


class _Deaf:
    """A parser that reads nothing, as llhttp after a request that closes."""

    def feed_data(self, _data: object, /) -> None:
        """Nothing."""


class RequestReader:
    """Reads one connection's requests.

    `template` is copied into each request's variables, REMOTE_ADDR is `peer`.  `make_spill` opens
    a file for a large body.
    """

    __slots__ = (
        "_body", "_chunked", "_expectation", "_fed", "_framing", "_in_head", "_keep_alive",
        "_limits", "_make_spill", "_measure", "_method", "_parser", "_peer", "_protocol", "_ready",
        "_target", "_template", "_variables", "dropped", "failure",
    )  # fmt: skip

    def __init__(
        self,
        template: dict[str, Any],
        limits: Limits,
        make_spill: Callable[[], Spill],
        peer: str = "",
    ) -> None:
        # this connection
        self._template = template
        self._peer = peer
        self._limits = limits
        self._make_spill = make_spill
        self._parser: Any = httptools.HttpRequestParser(self)
        self._ready: list[Request] = []
        self.failure: WireError | None = None
        self.dropped: bytes | None = None
        """The last header that was dropped for the underscore in its name."""
        # this request
        self._expectation: str | None = None  # the one that was taken
        self._variables = template.copy()
        self._target = b""
        self._method = self._protocol = ""
        self._keep_alive = False
        self._in_head = True
        self._chunked = False
        self._framing: tuple[dict[str, Any], str] | None = None
        self._body: Body | None = None
        # counting, for limits
        self._fed = 0  # bytes fed since the last whole request
        self._measure = False  # more was fed than a head may have

    def feed(self, data: bytes | memoryview) -> list[Request]:
        """The requests that became whole with `data`, in order.  Never raises; see `failure`."""
        if self.failure is not None:
            return []
        self._fed += len(data)
        self._measure = self._fed > self._limits.head > 0
        try:
            self._parser.feed_data(data)
        except _STOPS as error:
            self._feed_on(data, error)
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        if self._measure and self.failure is None:
            self._check_overhead()
        return []

    @property
    def fed(self) -> int:
        """Bytes fed since the last whole request."""
        return self._fed

    @property
    def is_idle(self) -> bool:
        """Between requests: nothing of the next one has come."""
        return self._fed == 0 and not self._target

    @property
    def is_in_body(self) -> bool:
        """The head of a request is there, its body is not yet whole."""
        return not self._in_head

    def take_expectation(self) -> bool:
        """The client waits for our word before it sends the body: true once a request."""
        if self._in_head or self._protocol != "HTTP/1.1":
            return False
        expected = self._variables.get("HTTP_EXPECT")
        if expected is None or expected is self._expectation:
            return False
        self._expectation = expected
        return self._body is None and expected.lower() == "100-continue"

    def discard(self) -> None:
        """Give up what was not read to its end.  Safe to call twice."""
        if self._body is not None:
            self._body.discard()
            self._body = None
        if self.failure is None:
            self.failure = _CLOSED
        del self._parser  # it holds our bound methods: without this we wait for the collector

    # -- what llhttp calls, in this order --------------------------------------

    def on_url(self, piece: bytes) -> None:
        """The target, or a piece of it."""
        self._target = self._target + piece if self._target else piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped: WSGI has no place for it."""
        if not self._in_head:
            return
        key = _VARIABLE_NAMES[name]
        variables = self._variables
        if key is None:
            self.dropped = name
        elif key in variables:
            self._join_header(key, value)
        else:
            if value and value[-1] <= _SPACE:
                value = value.rstrip(b" \t")
            variables[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole: the variables made of it, and what may not be served refused."""
        if self._measure:
            self._check_head()
        parser = self._parser
        protocol = _PROTOCOLS.get(parser.get_http_version())
        if protocol is None:
            self._refuse("only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
        variables = self._variables
        variables["REMOTE_ADDR"] = self._peer
        self._protocol = variables["SERVER_PROTOCOL"] = protocol
        self._method = variables["REQUEST_METHOD"] = _METHODS[parser.get_method()]
        target = variables["REQUEST_URI"] = self._target.decode("latin-1")
        path, _, query = target.partition("?")
        variables["QUERY_STRING"] = query
        variables["PATH_INFO"] = _plain_path(path) if "%" in path or "/." in path else path
        if path[:1] != "/":
            self._split_unusual_target(path)
        if "#" in target:
            variables["QUERY_STRING"] = query.partition("#")[0]
            variables["PATH_INFO"] = variables["PATH_INFO"].partition("#")[0]
        if "HTTP_HOST" not in variables and protocol == "HTTP/1.1":
            self._refuse("an HTTP/1.1 request needs a Host header")
        if "CONTENT_LENGTH" in variables:
            self._check_length(variables["CONTENT_LENGTH"])
        elif "HTTP_TRANSFER_ENCODING" in variables:
            self._begin_chunked(variables)
        if "HTTP_X_FORWARDED_PROTO" in variables:
            self._believe_scheme(variables["HTTP_X_FORWARDED_PROTO"])
        self._keep_alive = parser.should_keep_alive()
        self._in_head = False

    def _believe_scheme(self, scheme: str) -> None:
        """A balancer that took TLS off says so; links and CSRF checks depend on it."""
        if scheme in SCHEMES:
            self._variables["wsgi.url_scheme"] = scheme

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, chunks already undone."""
        body = self._body
        if body is None:
            body = self._body = Body(self._limits, self._make_spill)
        try:
            body.add(piece)
        except WireError as error:
            self._fail(error)
            raise

    def on_message_complete(self) -> None:
        """The request is whole."""
        body: bytes | Spill = b""
        if self._chunked:
            self._variables["CONTENT_LENGTH"] = str(self._body.size if self._body else 0)
            self._chunked = False
        if self._body is not None:
            body = self._body.finish()
            self._body = None
        self._ready.append(
            Request(
                self._variables,
                self._method,
                self._target.decode("latin-1"),
                self._protocol,
                body,
                self._keep_alive,
                True,
            )
        )
        if self._keep_alive:
            self._variables = self._template.copy()
        self._target = b""
        self._in_head = True
        self._fed = 0

    # -- the seldom cases ------------------------------------------------------

    def _feed_on(self, data: bytes | memoryview, error: Exception) -> None:
        """After llhttp stopped: at an upgrade go on with the rest, at an error do not."""
        while isinstance(error, httptools.HttpParserUpgrade):
            data = data[error.args[0] :]
            self._decline_upgrade()
            try:
                self._parser.feed_data(data)
            except _STOPS as next_error:
                error = next_error
            else:
                return
        if self.failure is None:
            self._fail(_translate(error, data))

    def _join_header(self, key: str, value: bytes) -> None:
        if key == "HTTP_HOST":
            self._refuse("the Host header came twice")
        text = value.decode("latin-1").rstrip(" \t")
        separator = "; " if key == "HTTP_COOKIE" else ", "
        self._variables[key] += separator + text

    def _split_unusual_target(self, path: str) -> None:
        """`*`, `http://host/path` (whose host overrules the header), or CONNECT's `host:port`."""
        variables = self._variables
        if self._method == "CONNECT":
            self._refuse("CONNECT is for proxies; this is a server", 501)
        if path == "*":  # the server as a whole; WSGI wants a path or nothing
            variables["PATH_INFO"] = ""
            return
        match = re.match(r"(?i:https?)://([^/?#@\s]+)(/[^?#]*)?$", path)
        if match is None:
            self._refuse("the request target is neither a path nor an http URL")
        variables["PATH_INFO"] = _plain_path(match[2] or "/")
        variables["HTTP_HOST"] = match[1]

    def _check_length(self, length: str) -> None:
        self._framing = (self._variables, f"Content-Length: {length}")
        if len(length) > LENGTH_DIGITS:  # all zeros but the last few, or llhttp had refused it
            self._refuse("the Content-Length is not a number of bytes")
        if self._limits.body and int(length) > self._limits.body:
            self._fail(body_too_large(self._limits))
            raise body_too_large(self._limits)

    def _begin_chunked(self, variables: dict[str, Any]) -> None:
        if self._protocol == "HTTP/1.0":
            self._refuse("HTTP/1.0 has no Transfer-Encoding")
        if variables.pop("HTTP_TRANSFER_ENCODING").lower() != "chunked":
            self._refuse("the only Transfer-Encoding understood is chunked", 501)
        self._chunked = True
        self._framing = (variables, "Transfer-Encoding: chunked")

    def _check_head(self) -> None:
        size = len(self._target) + sum(
            len(key) + len(value)
            for key, value in self._variables.items()
            if key.startswith(("HTTP_", "CONTENT_"))
        )
        if size > self._limits.head:
            self._fail(self._head_too_large())
            raise self._head_too_large()

    def _check_overhead(self) -> None:
        """Bound what is not body: a head that never ends, extensions of chunks, trailers."""
        if self._in_head:
            self._fail(self._head_too_large())
        elif self._chunked:
            size = self._body.size if self._body else 0
            if self._fed > self._limits.head + size * _OVERHEAD_PER_BYTE + len(self._target):
                self._fail(Malformed("the chunks hold much more than their data"))

    def _head_too_large(self) -> TooLarge:
        if len(self._target) > self._limits.head // 2:
            return TooLarge("the request line is too long (buffer-size)", status=414)
        limit = self._limits.head
        return TooLarge(f"the request's head exceeds {limit} bytes (buffer-size)", status=431)

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1: a server may ignore any Upgrade, and this one does.

        llhttp ends such a message at its head.  Where it has a body, a second parser is told
        the body's framing, and nothing of the upgrade.
        """
        request = self._ready[-1] if self._ready else None
        self._parser = httptools.HttpRequestParser(self)
        if request is None or self._framing is None or self._framing[0] is not request.variables:
            if request is not None and not request.keep_alive:
                self._parser = _Deaf()  # its client said that nothing follows
            return
        self._ready.pop()
        connection = "keep-alive" if request.keep_alive else "close"
        head = (
            f"POST / HTTP/1.1\r\nHost: _\r\nConnection: {connection}\r\n{self._framing[1]}\r\n\r\n"
        )
        self._variables = self._template.copy()  # of a request that closes they are its own still
        self._parser.feed_data(head.encode("ascii"))
        self._variables = request.variables
        self._target = request.target.encode("latin-1")
        self._method, self._protocol = request.method, request.protocol
        self._keep_alive = request.keep_alive

    def _refuse(self, message: str, status: int = 400) -> NoReturn:
        error = Malformed(message)
        error.status = status
        self._fail(error)
        raise error

    def _fail(self, error: WireError) -> None:
        self.failure = error
        if self._body is not None:
            self._body.discard()
            self._body = None


def _plain_path(path: str) -> str:
    """The path unquoted, and without `.` and `..`, as uWSGI gives it: nothing climbs out of /."""
    path = unquote_to_bytes(path).decode("latin-1")
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _translate(error: Exception, data: bytes | memoryview) -> WireError:
    """llhttp's complaint in words for the client; a wrong protocol is called by its name."""
    if isinstance(error, httptools.HttpParserCallbackError):
        return Unkept(f"the request could not be kept: {error.__context__}")
    message = str(error)
    if data[:3] == b"\x16\x03\x01" or data[:2] == b"\x16\x03":
        return Malformed("TLS was spoken to a plain HTTP socket: use http://, or put TLS in front")
    if data[:1] == b"\0":
        return Malformed("a uwsgi packet came to an HTTP socket: use `socket =` for uwsgi clients")
    if "PRI" in message:
        refusal = Malformed("HTTP/2 is not spoken here; use HTTP/1.1")
        refusal.status = 505
        return refusal
    return Malformed(f"the request is malformed: {message}")

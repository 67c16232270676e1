"""One WSGI call: environ and `start_response` in, a framed response out.

It knows no socket: bytes go to an `Output`.  It reads no request.
Runs in: workers.

Rules:
1. Nothing is sent before there is something of a body to send, or its end (PEP 3333).
2. What the application yields is sent before it is asked for more.
3. `close()` of its iterable is called exactly once, whatever happened; for a file handed to the
   kernel, by the output, when the last byte is gone.
4. A response that breaks off ends its connection: a client never takes a piece for the whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sized
from types import TracebackType
from typing import Any, Protocol

from muleteer.serve.request import FileWrapper, WSGIApplication, open_input
from muleteer.wire.request import Request
from muleteer.wire.response import LAST_CHUNK, ResponseHead, encode_chunk, error_response

__all__ = ["Output", "Response", "respond"]

_log = logging.getLogger("muleteer.app")

_JOIN_UP_TO = 65536
"""A body up to this size is copied behind its head; a larger one is sent from where it lies."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Output(Protocol):
    """Where a response goes: one client's connection."""

    is_gone: bool
    """The client is no more; what is sent is dropped."""

    def send(self, data: bytes, *, is_last: bool = False) -> None:
        """Send, or keep what does not fit; never blocks, never raises.

        What is last leaves together with the end of the connection, which must follow at once.
        """

    def send_parts(self, *parts: bytes) -> None:
        """As `send`, for what is too large to be joined first."""

    def send_file(self, fd: int, offset: int, size: int, close: Callable[[], None]) -> None:
        """Send a piece of a file in the kernel; `close` is called once, at its end."""

    def relax(self) -> None:
        """Wait, when very much is kept, until the client took some of it."""

    def abort(self, *, resets: bool) -> None:
        """End the connection after what was sent, with a reset or in an orderly way."""


class BrokenResponse(Exception):
    """The application broke WSGI's rules; the message says which."""


class Response:
    """The answer to one request, while it is made."""

    __slots__ = (
        "_chunked", "_out", "_overran", "_remaining", "failed", "handed_over", "head",
        "is_bodiless", "is_complete", "request", "sent", "was_sent",
    )  # fmt: skip

    def __init__(self, request: Request, out: Output) -> None:
        self.request = request
        self._out = out
        self.head: ResponseHead | None = None
        self.was_sent = False  # the head is out
        self.is_complete = False  # and the body, too
        self.handed_over = False  # the output closes what the application returned
        self.is_bodiless = False
        self.sent = 0  # bytes of body
        self.failed = False
        self._chunked = False
        self._remaining = -1  # bytes of the promised Content-Length to come; -1: none promised
        self._overran = False

    @property
    def status(self) -> int:
        """The number of the status; 0 where there is no answer."""
        return self.head.code if self.head else 0

    @property
    def head_size(self) -> int:
        """Bytes of the head, less what frames the body; 0 where there is no answer."""
        return self.head.size + len(self.request.protocol) if self.head else 0

    # -- what the application calls --------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """WSGI's: keep status and headers; with `exc_info` replace those not yet sent."""
        if exc_info is not None:
            try:
                if self.was_sent and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks a cycle through the traceback
        elif self.head is not None:
            raise BrokenResponse("start_response() was called a second time without exc_info")
        self.head = ResponseHead(status, headers)
        return self.write_now

    def write_now(self, data: bytes) -> None:
        """WSGI's `write()`: send at once; OSError when the client is gone."""
        if self._out.is_gone:
            raise BrokenPipeError("the client closed the connection")
        if data:
            self.write(data)
            self._out.relax()

    # -- the body --------------------------------------------------------------

    def send_result(self, result: Iterable[bytes]) -> None:
        """Send all that the application returned."""
        kind: type = type(result)
        if kind is list or kind is tuple:
            body = result[0] if len(result) == 1 else b"".join(result)  # type: ignore[index,arg-type]
            self.send_whole(body)
        elif kind is bytes:  # uWSGI sends it as it is; asking it for items would give numbers
            self.send_whole(result)  # type: ignore[arg-type]
        else:
            self._send_iterable(result)

    def send_whole(self, body: bytes) -> None:
        """Send the head with all of the body: one send, and a Content-Length."""
        head, request = self.head, self.request
        if (
            head is None
            or head.is_special
            or self.was_sent
            or type(body) is not bytes
            or request.method == "HEAD"
        ):
            self._send_special(body)
            return
        framing = ""
        if head.length is None:
            framing = f"Content-Length: {len(body)}\r\n"
        elif head.length != len(body):
            self._send_special(body)
            return
        self.sent = len(body)
        self._send_head(head, framing, body, is_all=True)
        self.is_complete = True

    def write(self, data: bytes) -> None:
        """Send a piece of the body, with the head if it is still here."""
        if type(data) is not bytes:
            data = _bytes(data)
        if self.was_sent:
            if not self.is_bodiless:
                self._out.send(self._frame(data))
            return
        head = self._need_head()
        framing = self._choose_framing(head)
        self._send_head(head, framing, b"" if self.is_bodiless else self._frame(data))

    def finish(self) -> None:
        """The body is complete."""
        if not self.was_sent:
            self.send_whole(b"")
        elif self._chunked:
            self._out.send(LAST_CHUNK)
        elif self._remaining > 0:
            self._fall_short()
        self.is_complete = True

    def fail(self, message: str, *args: object) -> None:
        """The application raised: a 500 when nothing was sent, else the connection breaks off."""
        self.failed = True
        request = self.request
        _log.exception("%s %s: " + message, request.method, request.target, *args)
        if self.is_complete:  # it was its close() that raised
            return
        request.keep_alive = False
        if self.was_sent:
            self._break_off()
            return
        self.was_sent = True
        self.head = ResponseHead("500 Internal Server Error", [])
        page = error_response(500, "The application failed; its log says why.", request.protocol)
        self._out.send(page.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if self._is_head_only else page)

    # -- inside ----------------------------------------------------------------

    def _send_special(self, body: bytes) -> None:
        """As `send_whole`, where it is not plain: no body allowed, odd lengths, write() used."""
        if type(body) is not bytes:
            body = _bytes(body)
        if self.was_sent:
            if body:
                self.write(body)
            self.finish()
            return
        head = self._need_head()
        framing = ""
        if self._is_head_only or head.forbids_body:
            if head.length is None and body and not head.forbids_body and not head.is_framed:
                framing = f"Content-Length: {len(body)}\r\n"
            body = b""
        elif head.is_framed:
            self.request.keep_alive = False
        elif head.length is None:
            framing = f"Content-Length: {len(body)}\r\n"
        else:
            self._remaining = head.length
            body = self._within_length(body)
        self.sent = len(body)
        self._send_head(head, framing, body, is_all=True)
        if self._remaining > 0:
            self._fall_short()
        self.is_complete = True

    @property
    def _is_head_only(self) -> bool:
        return self.request.method == "HEAD"

    def _need_head(self) -> ResponseHead:
        if self.head is None:
            raise BrokenResponse("the application returned without calling start_response()")
        return self.head

    def _send_iterable(self, result: Iterable[bytes]) -> None:
        if type(result) is FileWrapper and self._send_file(result):
            return
        out = self._out
        for piece in result:
            if piece:
                self._expect_only(result, piece)
                self.write(piece)
                if out.is_gone:
                    return
                if self.is_bodiless:
                    break
                out.relax()
        self.finish()

    def _expect_only(self, result: Iterable[bytes], piece: bytes) -> None:
        """An iterable of one item has a known length (PEP 3333)."""
        head = self.head
        if self.was_sent or head is None or head.length is not None or head.is_framed:
            return
        if isinstance(result, Sized) and len(result) == 1 and not head.forbids_body:
            head.length = len(piece)
            head.text += f"Content-Length: {len(piece)}\r\n"

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Let the kernel send the file; False when it is none, and is to be read instead."""
        extent = None if self.was_sent else wrapper.extent()
        if extent is None:
            return False
        fd, offset, size = extent
        head = self._need_head()
        if head.length is None and not head.is_framed and not head.forbids_body:
            head.length = size
            head.text += f"Content-Length: {size}\r\n"
        self._send_head(head, self._choose_framing(head), b"")
        if self.is_bodiless:
            self.is_complete = True
            return True
        promised = self._remaining if self._remaining >= 0 else size
        self._remaining = max(0, promised - size)
        self.sent = min(size, promised)
        self.handed_over = self.is_complete = True
        self._out.send_file(fd, offset, self.sent, lambda: self._close_file(wrapper))
        if self._remaining:
            self._fall_short()
        return True

    def _close_file(self, wrapper: FileWrapper) -> None:
        try:
            wrapper.close()
        except Exception:  # noqa: BLE001 - the application's own file, and nobody above us is its
            request = self.request
            _log.exception("%s %s: closing the file raised", request.method, request.target)

    def _choose_framing(self, head: ResponseHead) -> str:
        """How a client will know where a body ends that is sent piece by piece."""
        request = self.request
        if head.forbids_body or self._is_head_only:
            self.is_bodiless = True
        elif head.length is not None:
            self._remaining = head.length
        elif head.is_framed:
            request.keep_alive = False
        elif request.is_http and request.protocol == "HTTP/1.1":
            self._chunked = True
            return "Transfer-Encoding: chunked\r\n"
        else:
            request.keep_alive = False
        return ""

    def _send_head(
        self, head: ResponseHead, framing: str, body: bytes, *, is_all: bool = False
    ) -> None:
        request = self.request
        if head.closes:
            request.keep_alive = False
        protocol = request.protocol
        if request.is_http:
            if not request.keep_alive:
                framing += "Connection: close\r\n"
            elif protocol == "HTTP/1.0":
                framing += "Connection: keep-alive\r\n"
        self.was_sent = True
        data = f"{protocol} {head.text}{framing}\r\n".encode("latin-1")
        if len(body) <= _JOIN_UP_TO:
            if is_all and not request.keep_alive:
                self._out.send(data + body, is_last=True)
            else:
                self._out.send(data + body)
        else:
            self._out.send_parts(data, body)

    def _frame(self, data: bytes) -> bytes:
        if self._remaining >= 0:
            data = self._within_length(data)
        self.sent += len(data)
        return encode_chunk(data) if self._chunked else data

    def _within_length(self, data: bytes) -> bytes:
        """As much of `data` as the promised Content-Length allows."""
        if len(data) > self._remaining:
            if not self._overran:
                self._note_mismatch("more")
            self._overran = True
            data = data[: self._remaining]
        self._remaining -= len(data)
        return data

    def _fall_short(self) -> None:
        self._note_mismatch("fewer")
        self._break_off()

    def _break_off(self) -> None:
        """Let the client notice that the body is not whole.

        With a length or with chunks it does so by itself; else only a reset tells the end of a
        connection from the end of a body.
        """
        self.request.keep_alive = False
        self._out.abort(resets=self._remaining < 0 and not self._chunked)

    def _note_mismatch(self, how: str) -> None:
        request, length = self.request, self.head.length if self.head else None
        _log.error(
            "%s %s: the application sent %s bytes than its Content-Length of %s",
            request.method, request.target, how, length,
        )  # fmt: skip


def respond(app: WSGIApplication, request: Request, out: Output) -> Response:
    """Call the application and send its answer.

    What it raises is logged and answered; only what is no Exception (SystemExit) is passed on.
    """
    response = Response(request, out)
    environ = request.variables
    body = environ["wsgi.input"] = open_input(request)
    try:
        result = app(environ, response.start_response)
        if type(result) is list:
            response.send_result(result)
        else:
            _send_and_close(response, result)
    except BrokenPipeError:
        if not out.is_gone:
            response.fail("the application raised")
    except Exception:  # noqa: BLE001 - the door to the application's code
        response.fail("the application raised")
    except BaseException:
        response.fail("the application ends its process")
        raise
    finally:
        if request.body.__class__ is not bytes:
            body.close()
    return response


def _send_and_close(response: Response, result: Iterable[bytes]) -> None:
    try:
        response.send_result(result)
    finally:
        _close(response, result)


def _close(response: Response, result: Any) -> None:
    close = getattr(result, "close", None)
    if close is None or response.handed_over:
        return
    close()


def _bytes(piece: object) -> bytes:
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise BrokenResponse(
        f"the application's body holds {type(piece).__name__}, not bytes: {piece!r:.80}"
    )

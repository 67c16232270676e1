"""An engine in this process, its clients, and a clock the test moves.

Client and server share one thread: the test turns the loop, so nothing has to be waited for.

Runs in: the test process.
"""

from __future__ import annotations

import http.client
import io
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from muleteer.ipc.loop import Loop
from muleteer.serve.engine import Engine
from muleteer.wire.packet import Packet


@dataclass
class Options:
    """The options that serving reads, with small limits where a test wants to reach them."""

    processes: int = 1
    threads: int = 1
    harakiri: float | None = None
    buffer_size: int = 65535
    limit_post: int = 0
    post_buffering: int = 0
    http_timeout: float = 60.0
    http_keepalive: float = 60.0
    socket_timeout: float = 4.0
    disable_logging: bool = False
    log_format: str | None = None
    json_logs: bool = False
    log_micros: bool = False
    log_x_forwarded_for: bool = False
    log_4xx: bool = False
    log_5xx: bool = False
    log_slow: int = 0
    log_big: int = 0
    log_zero: bool = False
    worker_reload_mercy: float = 60.0


@dataclass
class FakeCore:
    """A place on a scoreboard that only remembers."""

    deadlines: list[float] = field(default_factory=list)
    depth: int = 0
    counted: list[dict[str, Any]] = field(default_factory=list)

    def say(self, doing: str) -> None:
        """Nobody asks."""

    def enter(self, deadline: float) -> None:
        self.deadlines.append(deadline)
        self.depth += 1

    def leave(self) -> None:
        self.depth -= 1

    def count(self, **what: Any) -> None:
        self.counted.append(what)


class Clock:
    """Real time, plus what the test adds."""

    def __init__(self) -> None:
        self.added = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.added


@dataclass
class Answer:
    """One HTTP answer, taken apart by the standard library."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: int


class Client:
    """A client whose every move the test decides."""

    def __init__(self, site: Site, sock: socket.socket) -> None:
        self.site = site
        self.sock = sock
        self.received = b""
        self.is_closed = False
        self.was_reset = False

    def send(self, data: bytes) -> None:
        """Send, turning the loop when the buffers are full."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self.site.turn()

    def hurry(self) -> None:
        """Be slow no longer."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def take(self) -> bool:
        """Take what is there; False when nothing was."""
        try:
            data = self.sock.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.is_closed = self.was_reset = True
            return True
        self.received += data
        self.is_closed = not data
        return True

    def read_until(self, is_enough: Callable[[bytes], Any]) -> bytes:
        """Turn the loop until enough has come, or the server closed."""
        end = time.monotonic() + 10
        while not self.is_closed and not is_enough(self.received):
            assert time.monotonic() < end, f"only this has come: {self.received!r:.2000}"
            self.site.turn()
            while self.take() and not self.is_closed:
                self.site.turn()
        return self.received

    def read_to_end(self) -> bytes:
        """All that comes until the server closes."""
        return self.read_until(lambda _: False)

    def answers(self, count: int, *methods: str) -> list[Answer]:
        """The next answers; `methods` are those of the requests (GET when left out)."""
        methods = methods or ("GET",) * count
        self.read_until(lambda data: len(parse(data, methods)) >= count)
        return parse(self.received, methods)

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send a request and take its answer; the rest of what came is forgotten."""
        self.received = b""
        self.send(data)
        (answer,) = self.answers(1, method)
        return answer


class _Source:
    def __init__(self, data: bytes) -> None:
        self.file = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]

    def makefile(self, *_: Any) -> Any:
        return _Unclosable(self.file)


class _Unclosable:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        pass


def parse(data: bytes, methods: tuple[str, ...]) -> list[Answer]:
    """The whole answers at the start of `data`."""
    source = _Source(data)
    answers: list[Answer] = []
    for method in methods:
        response = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            body = response.read()
        except (http.client.HTTPException, ConnectionError):
            break
        headers = dict(response.getheaders())
        answers.append(Answer(response.status, headers, body, response.version))
    return answers


class Site:
    """An engine with one listening socket of each kind."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.core = FakeCore()
        self.lines: list[str] = []
        self.packets: dict[int, Callable[[Packet], bytes]] = {}
        self.settings = Options(**options)
        self.after_request: Callable[[], Any] = lambda: None
        self.engine = Engine(
            self.loop,
            app,
            self.settings,
            self.core,
            worker_id=1,
            packets=self.packets,
            log_request=self.lines.append,
            after_request=lambda: self.after_request(),
        )
        self._sockets: list[socket.socket] = []
        self.addresses: dict[str, Any] = {}
        for protocol in ("http", "uwsgi"):
            sock = socket.create_server(("127.0.0.1", 0), backlog=16)
            self._sockets.append(sock)
            self.addresses[protocol] = sock.getsockname()
            self.engine.listen(sock, protocol)

    def connect(self, protocol: str = "http", receive_buffer: int | None = None) -> Client:
        """A new client; a small `receive_buffer` makes it a slow one."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(self.addresses[protocol])
        self._sockets.append(sock)
        return Client(self, sock)

    def packet(self, variables: dict[str, str], body: bytes = b"", modifier1: int = 0) -> bytes:
        """What a server sends to a new client that sends this packet, to the end."""
        block = b"".join(
            struct.pack("<H", len(text)) + text.encode("latin-1")
            for pair in variables.items()
            for text in pair
        )
        client = self.connect("uwsgi")
        client.send(struct.pack("<BHB", modifier1, len(block), 0) + block + body)
        return client.read_to_end()

    def turn(self, times: int = 1) -> None:
        """Turn the loop; never waits."""
        for _ in range(times):
            self.loop.turn(0.0)

    def move_clock(self, seconds: float) -> None:
        """Let time pass, and the loop notice."""
        self.clock.added += seconds
        self.turn(3)

    def close(self) -> None:
        self.engine.close()
        self.loop.close()
        for sock in self._sockets:
            sock.close()


# -- applications and requests ---------------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PLAIN = [("Content-Type", "text/plain")]
NewSite = Callable[..., Any]


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [*PLAIN, ("Content-Length", "5")])
    return [b"hello"]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", PLAIN)
    return [environ["wsgi.input"].read()]


def post(body: bytes, *headers: bytes, target: bytes = b"/") -> bytes:
    lines = [b"POST %b HTTP/1.1" % target, b"Host: a", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


class Body:
    """A body that says whether it was closed."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.pieces)

    def close(self) -> None:
        self.closed += 1


def serving(body: Any, *headers: tuple[str, str], status: str = "200 OK") -> Any:
    """An app that answers with this body, whatever is asked."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [*PLAIN, *headers])
        return body() if callable(body) else body

    return app


def new_file(data: bytes, at: int = 0) -> IO[bytes]:
    """A real file with this in it, standing at `at`; it goes when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closing it is what is tested
    file.write(data)
    file.seek(at)
    return file


def file_app(make: Callable[[], Any], *headers: tuple[str, str]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*PLAIN, *headers])
        return environ["wsgi.file_wrapper"](make(), 1000)

    return app

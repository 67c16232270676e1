"""Load from threads: clients that ask one request after the other and count what goes wrong.

A kept-alive client does what a browser or nginx does: when the server has closed the connection
before any byte of the answer came, it asks once more on a new one. Anything else is a failure.

Runs in: the test process.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.harness.clients import Address, connect, http_request, uwsgi_request

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it began, how long it took, and what was wrong with it, or nothing."""

    began: float
    seconds: float
    wrong: str = ""


@dataclass
class Load:
    """Some clients of one kind."""

    name: str
    ask: Callable[[], str]
    """One request; returns what was wrong with its answer, or nothing."""
    hang_up: Callable[[], object] = lambda: None
    """Called once, last."""
    answers: list[Answer] = field(default_factory=list)

    def run(self, until: threading.Event) -> None:
        """Ask until it is over."""
        while not until.is_set():
            began = time.monotonic()
            try:
                wrong = self.ask()
            except (OSError, AssertionError) as error:
                wrong = f"{type(error).__name__}: {error}"
            self.answers.append(Answer(began, time.monotonic() - began, wrong))
        self.hang_up()

    def failures(self) -> list[str]:
        """What went wrong, in words."""
        return [answer.wrong for answer in self.answers if answer.wrong]

    def seconds(self, since: float, until: float) -> list[float]:
        """How long the requests took that began in that time."""
        return [one.seconds for one in self.answers if since <= one.began < until]


def percentile(seconds: list[float], share: float) -> float:
    """The time within which that share of them was answered."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@contextmanager
def under(*loads: Load) -> Iterator[None]:
    """All of them ask, in threads, while the block runs."""
    over = threading.Event()
    threads = [threading.Thread(target=load.run, args=(over,), name=load.name) for load in loads]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(2 * PATIENCE_S)


# -- kinds of clients --------------------------------------------------------------------------


def one_by_one(address: Address, right: Callable[[str], bool]) -> Callable[[], str]:
    """HTTP, a connection for each request."""

    def ask() -> str:
        with connect(address, timeout=PATIENCE_S) as sock:
            sock.sendall(http_request("GET", "/", headers=[("Connection", "close")]))
            return _judge(_read_answer(sock), right)

    return ask


def over_uwsgi(address: Address, right: Callable[[str], bool]) -> Callable[[], str]:
    """The uwsgi protocol, as nginx speaks it."""

    def ask() -> str:
        response = uwsgi_request(address, timeout=PATIENCE_S)
        return "" if response.status == 200 and right(response.text) else repr(response)

    return ask


class KeptAlive:
    """HTTP, one connection for as long as the server keeps it."""

    def __init__(self, address: Address, right: Callable[[str], bool]) -> None:
        self.again = 0
        """How often a connection was closed under a request, before any byte of its answer."""
        self._address = address
        self._right = right
        self._sock: socket.socket | None = None

    def __call__(self) -> str:
        """Ask; once more where the server had closed before it took the request."""
        answer = b""
        if self._sock is not None:
            answer = self._ask(self._sock)
            self.again += not answer
        if not answer:
            self._sock = connect(self._address, timeout=PATIENCE_S)
            answer = self._ask(self._sock)
        if b"connection: close" in answer.lower():
            self.close()
        return _judge(answer, self._right)

    def close(self) -> None:
        """Hang up; twice is safe."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _ask(self, sock: socket.socket) -> bytes:
        """Ask on this connection; nothing, and hung up, when the server had closed it."""
        try:
            sock.sendall(http_request("GET", "/"))
            answer = _read_answer(sock)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        if not answer:
            self.close()
        return answer


def _read_answer(sock: socket.socket) -> bytes:
    """One answer with a Content-Length; what came, when the server closes before its end."""
    answer = b""
    while not _is_whole(answer):
        part = sock.recv(65536)
        if not part:
            break
        answer += part
    return answer


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    _, _, length = head.lower().partition(b"content-length:")
    return len(body) >= int(length.split(b"\r\n")[0])


def _judge(answer: bytes, right: Callable[[str], bool]) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    good = head.startswith(b"HTTP/1.1 200 ") and _is_whole(answer) and right(body.decode())
    return "" if good else f"the answer was {answer!r}"

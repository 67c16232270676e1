"""Calls, signals and packets between real uWSGI and ours: both ways, and answer beside answer."""

from __future__ import annotations

import ast
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from tests.harness import Reference, Server, uwsgi_packet
from tests.harness.clients import connect, read_all

APP = """
import uwsgi

def join(*words):
    return b"|".join(words)

def big(size):
    return b"x" * int(size)

def text():
    return "text"

def empty():
    return b""

def none():
    return None

def boom():
    return 1 // 0

for function in (join, big, text, empty, none, boom):
    uwsgi.register_rpc(function.__name__, function)
uwsgi.register_signal(17, "worker", lambda number: print("heard", number, flush=True))
uwsgi.spooler = lambda task: uwsgi.SPOOL_OK

def application(environ, start_response):
    expression = environ["wsgi.input"].read()
    try:
        answer = repr(eval(expression, {"uwsgi": uwsgi}))
    except Exception as error:
        answer = repr((type(error).__name__, str(error)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""

INI = """
socket = 127.0.0.1:0
socket = node.sock
module = app
master = true
processes = 2
buffer-size = 65535
spooler = spool
pythonpath = .
"""


class Pair:
    """The two servers, of the same app and ini."""

    def __init__(self, ours: Server, theirs: Reference) -> None:
        self.ours = ours
        self.theirs = theirs

    def nodes(self, server: Server) -> list[str]:
        """The TCP and the unix address of one of them."""
        found = server.addresses("uwsgi")
        return [each if isinstance(each, str) else "{}:{}".format(*each) for each in found]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both of them, started once for all tests of this file."""
    files: dict[str, str | bytes] = {"app.py": APP, "spool/": ""}
    folder = tmp_path_factory.mktemp("rpc")
    (folder / "ours").mkdir()
    (folder / "theirs").mkdir()
    with (
        Server(folder / "ours", ini=INI, files=files) as ours,
        Reference(folder / "theirs", ini=INI, files=files) as theirs,
    ):
        assert isinstance(theirs, Reference)
        theirs.wait_for("spawned uWSGI worker 2")
        yield Pair(ours, theirs)


def evaluate(server: Server, expression: str) -> Any:
    """What an expression is worth in a worker of that server."""
    return ast.literal_eval(server.ask(body=expression.encode()).text)


def called(caller: Server, node: str, *words: bytes) -> Any:
    """What `uwsgi.rpc(node, …)` returns there."""
    return evaluate(caller, f"uwsgi.rpc({node!r}, {', '.join(map(repr, words))})")


WORKS = [
    ((b"join", b"a", b"b"), b"a|b"),
    ((b"join", b"x" * 60_000), b"x" * 60_000),
    ((b"big", b"65535"), b"x" * 65535),
    ((b"big", b"65536"), b"x" * 65536),
    ((b"big", b"2000000"), b"x" * 2_000_000),
]


@pytest.mark.parametrize(("words", "result"), WORKS, ids=lambda v: repr(v)[:24])
def test_each_calls_the_other(pair: Pair, words: tuple[bytes, ...], result: bytes) -> None:
    """The same call, the same result, whoever calls whom, over TCP and over a unix socket."""
    for node in pair.nodes(pair.theirs):
        assert called(pair.ours, node, *words) == result
        assert called(pair.theirs, node, *words) == result
    for node in pair.nodes(pair.ours):
        assert called(pair.theirs, node, *words) == result
        assert called(pair.ours, node, *words) == result


def test_text_returned_reaches_uwsgi_too(pair: Pair) -> None:
    """Ours delivers it to either; uWSGI's own loses it."""
    (ours, *_), (theirs, *_) = pair.nodes(pair.ours), pair.nodes(pair.theirs)
    assert called(pair.theirs, ours, b"text") == b"text"
    assert called(pair.ours, ours, b"text") == b"text"
    assert called(pair.theirs, theirs, b"text") is None


@pytest.mark.parametrize("name", [b"nosuch", b"boom", b"empty", b"none"])
def test_a_failure_is_nothing_for_uwsgi_and_an_error_for_us(pair: Pair, name: bytes) -> None:
    """uWSGI gets the None it gets from its own kind; our caller is told what can be known."""
    (ours, *_), (theirs, *_) = pair.nodes(pair.ours), pair.nodes(pair.theirs)
    assert called(pair.theirs, theirs, name) is None
    assert called(pair.theirs, ours, name) is None
    kind, text = called(pair.ours, theirs, name)
    assert kind == "CallFailed"
    assert "closed without an answer" in text


def test_an_empty_argument_is_kept_or_refused_and_never_lost(pair: Pair) -> None:
    """uWSGI's server drops it; ours keeps it, and our caller does not send it to a uWSGI."""
    (ours, *_), (theirs, *_) = pair.nodes(pair.ours), pair.nodes(pair.theirs)
    words = (b"join", b"a", b"", b"b")
    assert called(pair.theirs, theirs, *words) == b"a|b"
    assert called(pair.theirs, ours, *words) == b"a||b"
    assert called(pair.ours, ours, *words) == b"a||b"
    kind, text = called(pair.ours, theirs, *words)
    assert (kind, "loses empty arguments" in text) == ("RpcError", True)


def test_a_long_argument_is_kept_or_refused_and_never_cut(pair: Pair) -> None:
    """uWSGI cuts its length to 16 bits, silently; between ours it arrives."""
    (ours, *_), (theirs, *_) = pair.nodes(pair.ours), pair.nodes(pair.theirs)
    size = "len(uwsgi.rpc({!r}, b'join', b'x' * 70000) or b'')"
    assert evaluate(pair.theirs, size.format(theirs)) != 70000
    assert evaluate(pair.ours, size.format(ours)) == 70000
    kind, text = evaluate(pair.ours, size.format(theirs))
    assert (kind, "takes 65535 bytes" in text) == ("RpcError", True)


def test_each_signals_the_other(pair: Pair) -> None:
    """`uwsgi.signal(17, node)` is None and is heard, both ways."""
    for sender, hearer in ((pair.ours, pair.theirs), (pair.theirs, pair.ours)):
        for times, node in enumerate(pair.nodes(hearer), start=1):
            assert evaluate(sender, f"uwsgi.signal(17, {node!r})") is None
            hearer.wait_for("heard 17", times=times)
    for sender in (pair.ours, pair.theirs):
        kind, _ = evaluate(sender, "uwsgi.signal(17, '/nonexistent.sock')")
        assert kind in ("NodeUnreachable", "OSError")


def packet(modifier1: int, payload: bytes, modifier2: int = 0) -> bytes:
    return struct.pack("<BHB", modifier1, len(payload), modifier2) + payload


def array(*words: bytes) -> bytes:
    return b"".join(struct.pack("<H", len(word)) + word for word in words)


def path(text: bytes, *more: tuple[bytes, bytes]) -> bytes:
    return uwsgi_packet([(b"PATH_INFO", text), *more], modifier1=173, modifier2=2)


PACKETS = {
    "ping": packet(100, b""),
    "signal": packet(110, b"", 200),
    "task": uwsgi_packet([(b"a", b"b")], modifier1=17),
    "task with a modifier2": uwsgi_packet([(b"a", b"b")], modifier1=17, modifier2=9),
    "unknown modifier": packet(98, b""),
    "framed": packet(173, array(b"join", b"a", b"b")),
    "framed, long": packet(173, array(b"big", b"70000")),
    "framed, unknown": packet(173, array(b"nosuch")),
    "framed, raised": packet(173, array(b"boom")),
    "framed, empty": packet(173, array(b"empty")),
    "framed, cut": packet(173, b"\x09\0join"),
    "raw": packet(173, array(b"join", b"a", b"b"), 1),
    "raw, long": packet(173, array(b"big", b"70000"), 1),
    "raw, with an empty word": packet(173, array(b"join", b"a", b"", b"b"), 1),
    "raw, unknown": packet(173, array(b"nosuch"), 1),
    "another modifier2": packet(173, array(b"join", b"a"), 9),
    "path": path(b"/join/a//b"),
    "path, with a protocol": path(b"/join/a", (b"SERVER_PROTOCOL", b"HTTP/1.1")),
    "path, with a type": path(b"/join/a", (b"HTTP_ACCEPT", b"text/plain")),
    "path, any type": path(b"/join/a", (b"HTTP_ACCEPT", b"*/*")),
    "path, unknown": path(b"/nosuch"),
    "path, raised": path(b"/boom"),
    "path, root": path(b"/"),
    "no path": uwsgi_packet([(b"A", b"b")], modifier1=173, modifier2=2),
}


@pytest.mark.parametrize("what", PACKETS)
def test_both_answer_a_packet_alike(pair: Pair, what: str) -> None:
    """Byte by byte: what a front server or an old client expects stays."""
    answers = []
    for server in (pair.ours, pair.theirs):
        with connect(server.uwsgi) as sock:
            sock.sendall(PACKETS[what])
            answers.append(read_all(sock))
    ours, theirs = answers
    assert ours == theirs


def test_uwsgi_has_room_for_64_functions_and_ours_for_all(pair: Pair) -> None:
    """The 65th is refused there."""
    many = "[uwsgi.register_rpc(f'f{n}', print) for n in range(100)] and len(uwsgi.rpc_list())"
    kind, _ = evaluate(pair.theirs, many)
    assert kind == "ValueError"
    assert evaluate(pair.ours, many) == 106


def test_a_task_from_the_network_is_run_by_both(pair: Pair) -> None:
    """Acknowledged, and then done."""
    for server in (pair.ours, pair.theirs):
        before = len(server.log.find("done with task"))
        with connect(server.uwsgi) as sock:
            sock.sendall(PACKETS["task"])
            assert read_all(sock) == b"\xff\0\0\1"
        server.wait_for("done with task", times=before + 1, within=40)

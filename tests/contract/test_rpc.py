"""Calls over real sockets: a caller and an engine, and a caller and a node that misbehaves.

The engine turns in a thread of its own, because a caller blocks.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.serving import Site, hello
from tests.unit.facade.conftest import make_runtime

from muleteer.errors import (
    CallFailed,
    NodeTimeout,
    NodeUnreachable,
    RpcError,
    SignalError,
    UnknownFunction,
)
from muleteer.rpc.caller import Caller
from muleteer.rpc.classic import ping, send_signal
from muleteer.serve.modifiers import Desk
from muleteer.wire.calls import BYE, GREETING, Kind, encode_frame, encode_values
from muleteer.wire.packet import encode_packet, encode_vars

PATIENCE_S = 20.0
"""No test waits so long, unless something is wrong."""
PONG = encode_packet(100, b"", 1)
GREETED = encode_packet(100, GREETING, 1)
RESULT = encode_frame(Kind.RESULT, encode_values([b"done"]))


# -- a caller and an engine ----------------------------------------------------------------------


class Turning:
    """A site whose loop turns in a thread, and counts the connections it was given."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.runtime = make_runtime(workers=1)
        self.functions = self.runtime.registry.rpc
        site.engine.packets.update(Desk(self.runtime, site.core).handlers)
        self.node = "{}:{}".format(*site.addresses["uwsgi"])
        self._asked: list[Callable[[], Any]] = []
        self._wake, self._bell = os.pipe()
        self._ends = False
        site.loop.watch(self._wake, self._look)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def inside(self, what: Callable[[], Any]) -> Any:
        """Run it in the loop's thread, and return what it returns."""
        done = threading.Event()
        answer: list[Any] = []
        self._asked.append(lambda: (answer.append(what()), done.set()))
        os.write(self._bell, b"x")
        assert done.wait(PATIENCE_S)
        return answer[0]

    @property
    def connections(self) -> int:
        """How many are open."""
        return int(self.inside(lambda: self.site.engine.open_connections))

    def until_connections(self, count: int) -> None:
        """Wait for the engine to see that others hung up."""
        for _ in range(10_000):
            if self.connections == count:
                return
        raise AssertionError(f"{self.connections} connections, not {count}")

    def close(self) -> None:
        self._ends = True
        os.write(self._bell, b"x")
        self._thread.join(PATIENCE_S)
        self.site.loop.unwatch(self._wake)
        os.close(self._wake)
        os.close(self._bell)

    def _run(self) -> None:
        while not self._ends:
            self.site.loop.turn()

    def _look(self, _events: int) -> None:
        os.read(self._wake, 1)
        if self._asked:
            self._asked.pop(0)()


@pytest.fixture
def node(new_site: Callable[..., Site]) -> Iterator[Turning]:
    """A muleteer with a few functions."""
    turning = Turning(new_site(hello, buffer_size=0x8000))
    turning.functions[b"join"] = lambda *words: b"|".join(words)
    turning.functions[b"echo"] = lambda value: value
    turning.functions[b"boom"] = lambda: 1 // 0
    yield turning
    turning.close()


@pytest.fixture
def caller() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.close()


def test_calls_share_a_connection(node: Turning, caller: Caller) -> None:
    """A second call goes over the first one's line."""
    for number in range(5):
        assert caller.call(node.node, b"join", [str(number), b""], 9) == b"%d|" % number
    assert node.connections == 1


@pytest.mark.parametrize(
    "value", [b"", "é", b"x" * 300_000, "y" * 3_000_000, None, [1, {"a": 2.5}], True]
)
def test_any_value_goes_there_and_back(node: Turning, caller: Caller, value: Any) -> None:
    """Empty, long, JSON; text comes as its bytes."""
    seen = value.encode() if isinstance(value, str) else value
    assert caller.call(node.node, b"echo", [value], 9) == seen
    assert caller.call(node.node, b"echo", [b"next"], 9) == b"next"


def test_a_failed_call_leaves_its_line_open(node: Turning, caller: Caller) -> None:
    """The error says what and where; the next call goes over the same line."""
    with pytest.raises(UnknownFunction, match=f"{node.node}.*nosuch"):
        caller.call(node.node, b"nosuch", [], 9)
    with pytest.raises(CallFailed, match="ZeroDivisionError"):
        caller.call(node.node, b"boom", [], 9)
    assert caller.call(node.node, b"join", [b"a"], 9) == b"a"
    assert node.connections == 1


def test_what_cannot_be_sent_is_refused_before_it_is(node: Turning, caller: Caller) -> None:
    """A value that is no JSON leaves no half call behind."""
    for _ in range(2):
        with pytest.raises(RpcError, match="type object"):
            caller.call(node.node, b"echo", [object()], 9)
        assert caller.call(node.node, b"join", [b"a"], 9) == b"a"


def test_threads_call_at_once(node: Turning, caller: Caller) -> None:
    """Each on a line of its own, and none gets another's answer."""
    wrong: list[Any] = []

    def many(mine: bytes) -> None:
        for number in range(100):
            sent = mine + b"%d" % number
            if (got := caller.call(node.node, b"echo", [sent], PATIENCE_S)) != sent:
                wrong.append((sent, got))

    threads = [threading.Thread(target=many, args=(b"%d-" % n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert wrong == []


def test_a_child_does_not_use_its_parents_line(
    node: Turning, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fork the child connects anew; two processes on one line would mix their answers."""
    caller.call(node.node, b"join", [], 9)
    monkeypatch.setattr(caller, "_pid", os.getpid() + 1)
    assert caller.call(node.node, b"join", [b"a"], 9) == b"a"
    node.until_connections(1)
    assert caller._pid == os.getpid()


def test_a_busy_worker_sends_its_callers_elsewhere(node: Turning, caller: Caller) -> None:
    """Before it serves a request it says goodbye on idle lines; the next call connects anew."""
    caller.call(node.node, b"join", [], 9)
    with socket.create_connection(node.site.addresses["http"]) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while client.recv(1000):
            pass
    assert node.inside(lambda: len(node.site.engine.lines)) == 0
    assert caller.call(node.node, b"join", [b"a"], 9) == b"a"


def test_a_slow_function_sends_other_callers_elsewhere(node: Turning, caller: Caller) -> None:
    """Once a call was slow, other callers hear goodbye before the next one runs."""
    moved = node.site.clock

    def slow() -> bytes:
        moved.added += 0.1
        return b"slow"

    node.functions[b"slow"] = slow
    other = Caller()
    other.call(node.node, b"join", [], 9)
    caller.call(node.node, b"slow", [], 9)
    assert node.connections == 2
    caller.call(node.node, b"slow", [], 9)
    assert node.inside(lambda: len(node.site.engine.lines)) == 1
    assert other.call(node.node, b"join", [b"a"], 9) == b"a"
    other.close()


def test_a_worker_that_leaves_says_goodbye(node: Turning, caller: Caller) -> None:
    """An idle line does not hold it up."""
    caller.call(node.node, b"join", [], 9)
    node.inside(node.site.engine.retire)
    caller.close()
    node.until_connections(0)


def test_an_idle_line_ends(node: Turning, caller: Caller) -> None:
    """After a minute without a call the worker hangs up; the caller does not notice."""
    caller.call(node.node, b"join", [], 9)

    def later() -> None:
        node.site.clock.added += 61

    node.inside(later)
    for _ in range(10_000):
        if not node.inside(lambda: len(node.site.engine.lines)):
            break
    assert caller.call(node.node, b"join", [b"a"], 9) == b"a"


# -- hostile clients -----------------------------------------------------------------------------


def frame(kind: int, payload: bytes, size: int | None = None) -> bytes:
    return struct.pack("<IB", len(payload) if size is None else size, kind) + payload


HELLO = b"\x64\0\0\x6d"
HOSTILE = {
    "a frame of four gigabytes": HELLO + frame(1, b"x", 0xFFFFFFFF),
    "a frame nobody knows": HELLO + frame(77, b""),
    "an answer from a caller": HELLO + frame(2, b""),
    "a call without a name": HELLO + frame(1, b""),
    "a call of broken values": HELLO + frame(1, b"\0\xff\xff\xff\xff"),
    "a name that is a number": HELLO + frame(1, b"\x01\x01\0\0\x007"),
    "an array that is cut": b"\xad\x03\0\0\x05\0x",
    "an array without an item": b"\xad\0\0\0",
    "variables that are cut": b"\xad\x03\0\x02\x05\0x",
    "XML-RPC": b"\xad\0\0\x03",
    "a task of rubbish": b"\x11\x03\0\0\x05\0x",
    "a task of a negative length": b"\x11\x14\0\0\x0e\0CONTENT_LENGTH\x02\0-1",
    "a call larger than buffer-size": b"\xad\x00\x90\0" + b"x" * 0x9000,
    "an unknown modifier": b"\x62\0\0\0",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_packet_is_closed_and_the_next_call_answered(
    node: Turning, caller: Caller, what: str
) -> None:
    """Whatever is wrong with it, the connection ends, and nothing else does."""
    with socket.create_connection(node.site.addresses["uwsgi"], PATIENCE_S) as client:
        client.sendall(HOSTILE[what])
        said = b""
        while part := client.recv(1000):
            said += part
    assert said in (b"", GREETED, b"\xff\0\0\0")
    assert caller.call(node.node, b"join", [b"a"], 9) == b"a"


def test_calls_and_tasks_are_refused_where_other_machines_can_reach(
    new_site: Callable[..., Site], caller: Caller, caplog: Any
) -> None:
    """On 0.0.0.0 only requests and pings are answered; everybody hears it in their own words."""
    site = new_site(hello)
    sock = socket.create_server(("0.0.0.0", 0))
    site.addresses["uwsgi"] = ("127.0.0.1", sock.getsockname()[1])
    site._sockets.append(sock)
    site.engine.listen(sock, "uwsgi")
    node = Turning(site)
    node.functions[b"join"] = lambda: b"never"
    try:
        assert ping(node.node, 9) == ""
        with pytest.raises(RpcError, match=r"takes no calls.*unix socket"):
            caller.call(node.node, b"join", [], 9)
        with pytest.raises(SignalError, match="does not take it"):
            send_signal(node.node, 17, 9)
        with socket.create_connection(site.addresses["uwsgi"], PATIENCE_S) as client:
            client.sendall(encode_packet(173, b"\x04\0join"))
            assert client.recv(100) == b""
        with socket.create_connection(site.addresses["uwsgi"], PATIENCE_S) as client:
            client.sendall(encode_packet(17, encode_vars([(b"a", b"b")])))
            assert client.recv(100) == b"\xff\0\0\0"
    finally:
        node.close()
    assert caplog.text.count("takes no calls") == 4  # one for each modifier


def test_the_body_of_a_task_is_read_by_its_length(node: Turning) -> None:
    """CONTENT_LENGTH bytes after the packet, however they come; none without it."""
    seen: list[Any] = []
    node.site.engine.packets[17] = lambda packet: seen.append(packet.body) or b"\xff\0\0\1"  # type: ignore[func-returns-value]
    pairs = encode_vars([(b"CONTENT_LENGTH", b"6"), (b"a", b"b")])
    with socket.create_connection(node.site.addresses["uwsgi"], PATIENCE_S) as client:
        for byte in encode_packet(17, pairs) + b"abcdef":
            client.sendall(bytes([byte]))
        assert client.recv(100) == b"\xff\0\0\1"
    with socket.create_connection(node.site.addresses["uwsgi"], PATIENCE_S) as client:
        client.sendall(encode_packet(17, b"\x01\0a\x01\0b"))
        assert client.recv(100) == b"\xff\0\0\1"
    assert seen == [b"abcdef", b""]


# -- a caller and a node that misbehaves ---------------------------------------------------------

Script = Callable[[socket.socket], None]


class Scripted:
    """A node that does on each connection what the next script says; then it listens no more."""

    def __init__(self, path: Path) -> None:
        self.node = str(path / "node.sock")
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(self.node)
        self._sock.listen()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: None)
        self.asked: list[bytes] = []

    def plays(self, *scripts: list[bytes | None]) -> str:
        """Each script: what to send after each message that came; None hangs up, b'' is silent."""
        self._thread = threading.Thread(target=self._play, args=(scripts,))
        self._thread.start()
        return self.node

    def close(self) -> None:
        self._ends.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._sock.close()

    def _play(self, scripts: tuple[list[bytes | None], ...]) -> None:
        for script in scripts:
            sock, _ = self._sock.accept()
            with sock:
                sock.settimeout(PATIENCE_S)
                self._answer(sock, script)

    def _answer(self, sock: socket.socket, script: list[bytes | None]) -> None:
        for reply in script:
            asked = sock.recv(1 << 20)
            if not asked:
                return
            self.asked.append(asked)
            if reply is None:
                return
            sock.sendall(reply)
            if not reply:
                self._ends.wait(PATIENCE_S)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    node = Scripted(tmp_path)
    yield node
    node.close()


def test_a_uwsgi_is_asked_in_its_own_words(scripted: Scripted, caller: Caller) -> None:
    """It sees a ping and an array, and from then on arrays alone."""
    answer = encode_packet(173, b"yes")
    node = scripted.plays([PONG], [answer], [answer])
    assert caller.call(node, b"f", ["a"], 9) == b"yes"
    assert caller.call(node, b"f", [b"b"], 9) == b"yes"
    assert scripted.asked == [
        HELLO,
        encode_packet(173, b"\1\0f\1\0a"),
        encode_packet(173, b"\1\0f\1\0b"),
    ]


def test_a_node_that_knows_no_pings_is_asked_as_a_uwsgi(scripted: Scripted, caller: Caller) -> None:
    """It closes; then it is worth an array."""
    node = scripted.plays([None], [encode_packet(173, b"yes")])
    assert caller.call(node, b"f", [], 9) == b"yes"


LONG = encode_packet(173, encode_vars([(b"CONTENT_LENGTH", b"70000")]), 5)
ANSWERS: dict[str, tuple[bytes | None, type[Exception], str]] = {
    "nothing": (None, CallFailed, "closed without an answer"),
    "half a head": (b"\xad\x01", RpcError, "which is no result"),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", RpcError, "which is no result"),
    "half a result": (b"\xad\x09\0\0four", CallFailed, "after 4 of the 9 bytes"),
    "half a long result": (LONG + b"x" * 10, CallFailed, "after 10 of the 70000 bytes"),
    "no length": (encode_packet(173, b"", 5), RpcError, "how long"),
    "broken variables": (encode_packet(173, b"\x05\0x", 5), RpcError, "nonsense"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_wrong_answer_of_a_uwsgi_is_an_error(
    scripted: Scripted, caller: Caller, what: str
) -> None:
    """Never a hang, never half a result."""
    answer, error, says = ANSWERS[what]
    node = scripted.plays([PONG], [answer])
    with pytest.raises(error, match=says):
        caller.call(node, b"f", [], 9)


def test_a_long_result_of_a_uwsgi_is_read_whole(scripted: Scripted, caller: Caller) -> None:
    """By the length its variables tell."""
    node = scripted.plays([PONG], [LONG + b"x" * 70000])
    assert caller.call(node, b"f", [], 9) == b"x" * 70000


def test_after_a_goodbye_the_call_goes_to_another_worker(
    scripted: Scripted, caller: Caller
) -> None:
    """A BYE where the answer should be says that the call was not taken."""
    node = scripted.plays([GREETED, BYE, b""], [GREETED, RESULT])
    assert caller.call(node, b"f", [], 9) == b"done"
    assert len(scripted.asked) == 4


def test_a_goodbye_on_an_idle_line_is_seen_before_the_next_call(
    scripted: Scripted, caller: Caller
) -> None:
    """The call is sent on a new line, once."""
    node = scripted.plays([GREETED, RESULT + BYE], [GREETED, RESULT])
    assert caller.call(node, b"f", [], 9) == b"done"
    assert caller.call(node, b"f", [], 9) == b"done"
    assert len(scripted.asked) == 4


def test_a_death_in_the_middle_of_a_call_is_told_and_not_repeated(
    scripted: Scripted, caller: Caller
) -> None:
    """Nobody knows whether the function ran, so it is not run again."""
    node = scripted.plays([GREETED, None])
    with pytest.raises(NodeUnreachable, match="whether the function ran is not known"):
        caller.call(node, b"f", [], 9)
    assert len(scripted.asked) == 2


@pytest.mark.parametrize(
    "script", [[b""], [GREETED[:6], b""], [GREETED, b""], [GREETED, RESULT[:7], b""]]
)
def test_a_silent_node_is_a_timeout(
    scripted: Scripted, caller: Caller, script: list[bytes | None]
) -> None:
    """Wherever it falls silent; the whole call has one deadline."""
    node = scripted.plays(script)
    with pytest.raises(NodeTimeout, match="did not answer in time"):
        caller.call(node, b"f", [], 0.2)


@pytest.mark.parametrize(
    "answer",
    [
        encode_frame(Kind.RESULT, b""),
        encode_frame(Kind.RESULT, b"\0\xff"),
        encode_frame(Kind.FAILED, encode_values([1])),
        encode_frame(Kind.FAILED, encode_values([1, 2])),
        struct.pack("<IB", 0xFFFFFFFF, 2),
        struct.pack("<IB", 0, 200),
    ],
)
def test_nonsense_of_a_muleteer_is_an_error(
    scripted: Scripted, caller: Caller, answer: bytes
) -> None:
    """The line is not used again."""
    node = scripted.plays([GREETED, answer])
    with pytest.raises(RpcError, match="nonsense"):
        caller.call(node, b"f", [], 9)


def test_a_node_that_is_not_there_is_unreachable(tmp_path: Path, caller: Caller) -> None:
    """Both an OSError and a ValueError, with the address in it."""
    gone = socket.create_server(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    gone.close()
    for node in (str(tmp_path / "no.sock"), f"127.0.0.1:{port}", "@muleteer-nobody-is-here"):
        with pytest.raises(NodeUnreachable, match=node) as raised:
            caller.call(node, b"f", [], 9)
        assert isinstance(raised.value, OSError)
        assert isinstance(raised.value, ValueError)
    assert issubclass(NodeTimeout, TimeoutError)


def test_an_abstract_socket_is_a_node(caller: Caller) -> None:
    """`@name` is a unix socket without a file."""
    name = f"muleteer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0" + name)
        sock.listen()

        def play() -> None:
            connection, _ = sock.accept()
            with connection:
                connection.recv(4)
                connection.sendall(encode_packet(100, b"half asleep", 1))

        thread = threading.Thread(target=play)
        thread.start()
        assert ping("@" + name, 9) == "half asleep"
        thread.join(PATIENCE_S)

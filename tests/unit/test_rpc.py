"""Calls by name in one process: the functions of `uwsgi`, and what a worker answers to packets."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.facade.conftest import make_runtime, seat

from muleteer.errors import (
    CallFailed,
    ChannelFull,
    RpcError,
    SignalError,
    UnknownFunction,
)
from muleteer.facade.surface import Surface
from muleteer.rpc.caller import Caller
from muleteer.rpc.classic import call_uwsgi, send_signal
from muleteer.runtime import Runtime
from muleteer.serve.modifiers import DONE, NOT_DONE, Desk, answer_packet
from muleteer.wire.calls import OWN, FrameReader, Kind, decode_values, encode_values
from muleteer.wire.packet import Packet, encode_array, encode_vars


def join(*words: bytes) -> bytes:
    return b"|".join(words)


def boom() -> None:
    raise ZeroDivisionError("none left")


class Core:
    """A place on the scoreboard that remembers."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def say(self, doing: str) -> None: ...
    def enter(self, deadline: float) -> None:
        self.said.append("enter")

    def leave(self) -> None:
        self.said.append("leave")

    def count(self, *, tx: int, seconds: float, failed: bool) -> None:
        self.said.append(failed)


@pytest.fixture
def runtime() -> Runtime:
    return make_runtime(spooler=("/spool/a", "/spool/b"))


@pytest.fixture
def uwsgi(runtime: Runtime) -> Any:
    return Surface(runtime)


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def ask(runtime: Runtime, uwsgi: Any, core: Core) -> Callable[..., bytes]:
    """What a worker with these functions answers to a packet: `ask(173, payload, modifier2)`."""
    uwsgi.register_rpc("join", join)
    uwsgi.register_rpc("boom", boom)
    uwsgi.register_rpc("text", lambda: "é")
    uwsgi.register_rpc("number", lambda: 7)
    uwsgi.register_rpc("echo", lambda value: value)
    uwsgi.register_rpc("nothing", lambda: b"")
    uwsgi.register_rpc("odd", lambda: object())
    uwsgi.register_rpc("big", lambda size: b"x" * int(size))
    handlers = Desk(runtime, core).handlers

    def ask(modifier1: int, payload: bytes, modifier2: int = 0, body: bytes = b"") -> bytes:
        return answer_packet(Packet(modifier1, payload, modifier2, body), handlers)

    return ask


# -- uwsgi.call and its kin ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["join", b"join"])
def test_a_function_is_called_by_either_kind_of_name(uwsgi: Any, name: str | bytes) -> None:
    """Names are str or bytes, when they are registered and when they are called."""
    assert uwsgi.register_rpc(name, join, 2) is True
    assert uwsgi.rpc_list() == (b"join",)
    assert uwsgi.call("join", "a", b"", "é") == "a||é".encode()
    assert uwsgi.call(b"join") == b""
    assert uwsgi.rpc(None, b"join", b"a") == uwsgi.rpc("", "join", "a") == b"a"


def test_text_returned_is_delivered_as_its_bytes(uwsgi: Any) -> None:
    """uWSGI loses it."""
    uwsgi.register_rpc("f", lambda: "é")
    assert uwsgi.call("f") == "é".encode()


def test_a_local_call_takes_and_returns_what_json_has(uwsgi: Any) -> None:
    """A local and a remote function see the same values."""
    uwsgi.register_rpc("f", lambda value: [value, None])
    assert uwsgi.call("f", {"a": (1, 2.5)}) == [{"a": [1, 2.5]}, None]


def test_a_second_function_replaces_the_first(uwsgi: Any) -> None:
    """As with uWSGI."""
    uwsgi.register_rpc("f", lambda: b"one")
    uwsgi.register_rpc(b"f", lambda: b"two")
    assert uwsgi.call("f") == b"two"
    assert len(uwsgi.rpc_list()) == 1


def test_there_may_be_more_functions_than_uwsgi_has_room_for(uwsgi: Any) -> None:
    """No limit of 64."""
    for number in range(300):
        uwsgi.register_rpc(f"f{number}", lambda n=number: str(n))
    assert uwsgi.call("f299") == b"299"


def test_a_mule_may_register_for_itself(runtime: Runtime, uwsgi: Any) -> None:
    """uWSGI refuses mules and spoolers."""
    seat(runtime, "mule", 1)
    assert uwsgi.register_rpc("f", join)
    assert uwsgi.call("f", "x") == b"x"


@pytest.mark.parametrize(
    ("name", "function", "says"),
    [("", join, "not empty"), (b"", join, "not empty"), (7, join, "7"), ("f", "x", "callable")],
)
def test_what_cannot_be_registered_is_refused(
    uwsgi: Any, name: Any, function: Any, says: str
) -> None:
    """A name that is none and a function that is none are refused at once."""
    with pytest.raises(ValueError, match=says):
        uwsgi.register_rpc(name, function)


def test_an_unknown_function_says_which_there_are(uwsgi: Any) -> None:
    """The caller learns what is wrong; uWSGI returns None."""
    uwsgi.register_rpc("join", join)
    for call in (lambda: uwsgi.call("nosuch"), lambda: uwsgi.rpc(None, b"nosuch")):
        with pytest.raises(UnknownFunction, match=r"nosuch.*join") as raised:
            call()
        assert isinstance(raised.value, ValueError)


def test_a_function_that_raises_is_named_with_its_exception(uwsgi: Any) -> None:
    """And the exception itself is the cause."""
    uwsgi.register_rpc("boom", boom)
    with pytest.raises(CallFailed, match="'boom' raised ZeroDivisionError: none left") as raised:
        uwsgi.call("boom")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_value_that_could_not_travel_is_refused_here_too(uwsgi: Any) -> None:
    """An argument and a result alike."""
    uwsgi.register_rpc("f", lambda *_: {1})
    with pytest.raises(CallFailed, match=r"an argument of RPC function 'f'.*type object"):
        uwsgi.call("f", object())
    with pytest.raises(CallFailed, match=r"the result of RPC function 'f'.*type set"):
        uwsgi.call("f")


def test_an_exception_of_the_server_itself_passes(uwsgi: Any) -> None:
    """SystemExit ends the process as it would anywhere."""

    def leave() -> None:
        raise SystemExit(3)

    uwsgi.register_rpc("f", leave)
    with pytest.raises(SystemExit):
        uwsgi.call("f")


# -- what cannot be sent to a uWSGI --------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([1], "argument 1 is of type int"),
        ([b"a", b"", b"b"], "argument 2 is empty"),
        ([b"x" * 65536], "takes 65535 bytes"),
        ([b"x" * 40000] * 2, "takes 65535 bytes"),
    ],
)
def test_what_uwsgi_would_lose_is_not_sent(args: list[Any], says: str) -> None:
    """Nothing is connected: the error comes before."""
    with pytest.raises(RpcError, match=says):
        call_uwsgi("/nonexistent", [b"f", *args], 0.0)


@pytest.mark.parametrize("node", ["host:port", "host:", ":99999", "[::1]:x"])
def test_an_address_without_a_port_is_refused(node: str) -> None:
    """Before anything is looked up."""
    with pytest.raises(RpcError, match="is no port"):
        Caller().call(node, b"f", [], 1.0)


def test_a_timeout_is_above_zero(uwsgi: Any) -> None:
    """0 would be no time at all."""
    with pytest.raises(RpcError, match="timeout of 0"):
        uwsgi.rpc("127.0.0.1:1", "f", timeout=0)


def test_a_remote_signal_has_one_byte() -> None:
    """The decorators' own numbers do not travel: the other node has others."""
    with pytest.raises(SignalError, match="0 to 255"):
        send_signal("127.0.0.1:1", 256, 1.0)


# -- calls a worker is asked for -----------------------------------------------------------------


def test_a_framed_call_is_answered_with_a_frame(ask: Callable[..., bytes], core: Core) -> None:
    """modifier2 0, as a uWSGI asks; it counts as a request."""
    assert ask(173, encode_array([b"join", b"a", b"", b"b"])) == b"\xad\x04\x00\x00a||b"
    assert core.said == ["enter", "leave", False]


def test_a_raw_call_is_answered_with_the_result_alone(ask: Callable[..., bytes]) -> None:
    """modifier2 1, as nginx asks; the empty word that fills up a pair is dropped, as by uWSGI."""
    assert ask(173, encode_array([b"join", b"a", b"b", b""]), 1) == b"a|b"
    assert ask(173, encode_array([b"text", b""]), 1) == "é".encode()


def test_a_result_that_fits_no_packet_says_its_length(ask: Callable[..., bytes]) -> None:
    """The long form: modifier2 5 and CONTENT_LENGTH, then the bytes."""
    answer = ask(173, encode_array([b"big", b"70000"]))
    head = bytes.fromhex("ad170005 0e00") + b"CONTENT_LENGTH\x05\x0070000"
    assert answer == head + b"x" * 70000
    assert ask(173, encode_array([b"big", b"65535"]))[:4] == b"\xad\xff\xff\x00"


@pytest.mark.parametrize("modifier2", [0, 1])
@pytest.mark.parametrize("name", [b"nosuch", b"boom", b"nothing", b"number", b"odd"])
def test_a_failure_is_silence_for_who_is_no_muleteer(
    ask: Callable[..., bytes], name: bytes, modifier2: int
) -> None:
    """Unknown, raised, empty, no bytes: zero bytes, as a uWSGI peer expects."""
    assert ask(173, encode_array([name]), modifier2) == b""


def test_a_failure_is_in_the_log(ask: Callable[..., bytes], caplog: Any) -> None:
    """With the traceback of what raised, and with the type of what is no bytes."""
    ask(173, encode_array([b"boom"]))
    ask(173, encode_array([b"number"]))
    assert "ZeroDivisionError: none left" in caplog.text
    assert "'number' returned a value of type int" in caplog.text


HTTP = [
    ({b"PATH_INFO": b"/join/a//b"}, b"HTTP/1.0 200 OK", b"application/binary", b"a|b"),
    (
        {b"PATH_INFO": b"/text", b"HTTP_ACCEPT": b"text/plain", b"SERVER_PROTOCOL": b"HTTP/1.1"},
        b"HTTP/1.1 200 OK",
        b"text/plain",
        "é".encode(),
    ),
    ({b"PATH_INFO": b"/text", b"HTTP_ACCEPT": b"*/*"}, b" 200 OK", b"application/binary", b""),
    ({b"PATH_INFO": b"/nosuch"}, b" 404 Not Found", b"text/plain", b"Not Found"),
    ({b"PATH_INFO": b"/boom"}, b" 404 Not Found", b"text/plain", b"Not Found"),
    ({b"PATH_INFO": b"/"}, b" 500 Internal Server Error", b"text/plain", b""),
    ({b"A": b"b"}, b" 500 Internal Server Error", b"text/plain", b""),
]


@pytest.mark.parametrize(("variables", "status", "kind", "body"), HTTP)
def test_the_http_form_takes_words_from_the_path(
    ask: Callable[..., bytes],
    variables: dict[bytes, bytes],
    status: bytes,
    kind: bytes,
    body: bytes,
) -> None:
    """modifier2 2: /function/argument/argument, answered in HTTP, as by uWSGI."""
    answer = ask(173, encode_vars(variables.items()), 2)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert status in head.split(b"\r\n")[0]
    assert b"Content-Type: " + kind in head
    assert rest.endswith(body)


def own(ask: Callable[..., bytes], *values: Any) -> tuple[Kind, list[Any]]:
    ((kind, payload),) = FrameReader().feed(ask(173, encode_values(values), OWN))
    return kind, decode_values(payload)


@pytest.mark.parametrize("value", [b"", b"x" * 100_000, None, 1, [1, {"a": None}]])
def test_a_muleteer_gets_values(ask: Callable[..., bytes], value: Any) -> None:
    """Empty, long, and JSON, as they were sent."""
    assert own(ask, b"echo", value) == (Kind.RESULT, [value])


def test_a_muleteer_hears_what_failed(ask: Callable[..., bytes], core: Core) -> None:
    """The kind of failure and a sentence."""
    kind, (failure, text) = own(ask, b"nosuch")
    assert (kind, failure) == (Kind.FAILED, 1)
    assert b"no RPC function 'nosuch'" in text
    kind, (failure, text) = own(ask, b"boom")
    assert (kind, failure) == (Kind.FAILED, 2)
    assert b"ZeroDivisionError: none left" in text
    kind, (failure, text) = own(ask, b"odd")
    assert (kind, failure) == (Kind.FAILED, 2)
    assert b"the result of RPC function 'odd'" in text
    assert core.said.count("enter") == core.said.count("leave") == 3


@pytest.mark.parametrize(
    ("payload", "modifier2"),
    [
        (b"\x05\x00four", 0),
        (b"\x05", 1),
        (b"", 0),
        (b"\x00\x00", 1),
        (b"\xff\xff", 2),
        (b"<xml/>", 3),
        (b"\x00", OWN),
        (encode_values([1]), OWN),
        (struct.pack("<BI", 0, 9), OWN),
    ],
)
def test_a_broken_call_gets_no_byte_and_one_line(
    ask: Callable[..., bytes], caplog: Any, payload: bytes, modifier2: int
) -> None:
    """Truncated, wrong lengths, no name, XML-RPC: refused, and no traceback."""
    assert ask(173, payload, modifier2) == b""
    assert caplog.text.count("refused") == 1
    assert "Traceback" not in caplog.text


# -- signals and tasks from the network ----------------------------------------------------------


def test_a_signal_is_queued_for_its_target(ask: Callable[..., bytes], runtime: Runtime) -> None:
    """modifier2 is the number; one that nobody registered goes to any worker, as with uWSGI."""
    runtime.switchboard.targets = {}  # type: ignore[assignment]
    Surface(runtime).register_signal(17, "worker2", print)
    assert ask(110, b"", 17) == DONE == b"\xff\x00\x00\x01"
    assert runtime.switchboard.signals["worker2"].sent == [17]  # type: ignore[attr-defined]


def test_a_full_queue_is_told(
    ask: Callable[..., bytes], runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender hears that its signal was not taken."""

    def full(signum: int) -> None:
        raise ChannelFull("full")

    monkeypatch.setattr(runtime, "raise_signal", full)
    assert ask(110, b"", 17) == NOT_DONE == b"\xff\x00\x00\x00"


def test_a_task_is_stored_and_the_spooler_rung(ask: Callable[..., bytes], runtime: Runtime) -> None:
    """In the directory it asks for, with its body, and then it is acknowledged."""
    runtime.scoreboard.spoolers_need_bell = True
    pairs = [(b"a", b"1"), (b"spooler", b"/spool/b"), (b"priority", b"3")]
    assert ask(17, encode_vars(pairs), 0, b"the body") == DONE
    assert ask(17, encode_vars([(b"a", b"2")]), 9) == DONE
    task = runtime.stores["/spool/b"].claim(1e9)
    assert task is not None
    assert (task.vars[b"a"], task.vars[b"priority"], task.body) == (b"1", b"3", b"the body")
    assert runtime.switchboard.spooler_bells["/spool/b"].rings == 1  # type: ignore[attr-defined]
    assert len(runtime.stores["/spool/a"].jobs()) == 1


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"spooler", b"/elsewhere")],
        [(b"at", b"tomorrow")],
        [(b"priority", b"high")],
        [(b"ud_spool_func", b"f"), (b"args", b"cos\nsystem\n")],
        [(b"ud_spool_name", b"m.f"), (b"kwargs", b"\x80\x04}.")],
    ],
)
def test_a_task_that_is_not_stored_is_told(
    ask: Callable[..., bytes], runtime: Runtime, pairs: list[tuple[bytes, bytes]]
) -> None:
    """A wrong special key, and a pickle that a decorator would open, are refused."""
    assert ask(17, encode_vars(pairs)) == NOT_DONE
    assert all(not store.jobs() for store in runtime.stores.values())


def test_a_broken_task_gets_no_byte(ask: Callable[..., bytes], runtime: Runtime) -> None:
    """What is no block of variables is no task."""
    assert ask(17, b"\x05\x00four") == b""
    assert all(not store.jobs() for store in runtime.stores.values())


def test_without_a_spooler_a_task_is_told_so(caplog: Any) -> None:
    """The sender hears 0, the log hears which option is missing."""
    handlers = Desk(make_runtime(), Core()).handlers
    assert answer_packet(Packet(17, encode_vars([(b"a", b"b")])), handlers) == NOT_DONE
    assert "spooler = DIR" in caplog.text

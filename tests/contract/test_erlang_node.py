"""Our node and a real one of OTP: what Erlang programmers type, and what they get."""

from __future__ import annotations

import logging
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.harness.otp import COOKIE, Epmd, Otp, running
from tests.harness.waiting import eventually

from muleteer.erlang import connection as connection_module
from muleteer.erlang import epmd as epmd_module
from muleteer.erlang.client import ErlangClient, connect
from muleteer.erlang.node import ErlangNode
from muleteer.errors import (
    BadTerm,
    BadValue,
    MuleteerError,
    NoAnswer,
    NodeDown,
    NodeLost,
    NodeRefused,
    UnknownFunction,
)
from muleteer.wire.distribution import Message, Op, Packets, decode_message, encode_message
from muleteer.wire.handshake import Acceptor, Initiator, Local
from muleteer.wire.terms import Atom, Charlist, Improper, Pid, Ref

SECRET = COOKIE.encode()


class Ugly(Exception):
    """An exception that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError


class Functions:
    """What the tests' node has for rpc:call, and what its processes were told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.gate = threading.Event()

    def call(self, module: str, function: str, arguments: list[Any]) -> Any:
        """As the server's own lookup: by the function's name."""
        match function:
            case "add":
                return sum(arguments)
            case "boom":
                raise ZeroDivisionError("division by zero")
            case "where":
                return (Atom(module), [Charlist("ab"), None, True])
            case "wait":
                self.gate.wait(10)
                return b"late"
            case "ugly":
                raise Ugly
            case "leave":
                sys.exit(3)
            case "nan":
                return float("nan")
            case "tell":
                self.told.append(arguments)
        raise UnknownFunction(f"no function {function}")

    @property
    def processes(self) -> dict[str, Callable[..., Any]]:
        """The registered processes."""
        return {
            "echo": lambda message: (Atom("reply"), message[1]) if message[1:] else message,
            "boom": lambda message: 1 / message,
            "tell": self.told.append,
            "bare": lambda: self.told.append("called"),
            "gated": self._gated,
        }

    def _gated(self, message: Any) -> None:
        self.gate.wait(30)
        self.told.append(message[0])


class Here:
    """One node of ours, and the sentences it logged."""

    def __init__(self, name: str, epmd: Epmd, cookie: bytes = SECRET) -> None:
        self.log: list[str] = []
        self.functions = Functions()
        self.node = ErlangNode(
            name,
            cookie,
            processes=self.functions.processes,
            call=lambda *call: self.functions.call(*call),
            log=lambda _level, sentence: self.log.append(sentence),
            epmd_port=epmd.port,
        )
        self.node.start()

    def close(self) -> None:
        """End it, and prove that no thread is left."""
        self.functions.gate.set()
        self.node.stop()
        assert not [t.name for t in threading.enumerate() if t.name.startswith("erlang-")]


@pytest.fixture(scope="module")
def epmd() -> Iterator[Epmd]:
    """A private port mapper."""
    mapper = Epmd().start()
    yield mapper
    mapper.stop()


@pytest.fixture(scope="module")
def otp(epmd: Epmd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Otp]:
    """A node of OTP with an echo process, for all tests that do not end it."""
    with running("otp@127.0.0.1", epmd, tmp_path_factory.mktemp("otp")) as node:
        echo = "fun L() -> receive {P, M} -> P ! {reply, M}, L() end end"
        assert node.eval(f"register(echo, spawn({echo}))") == "true"
        yield node


@pytest.fixture
def here(epmd: Epmd, otp: Otp) -> Iterator[Here]:
    """A node of ours, known to epmd, and not mistaken for the one of the test before."""
    otp.eval("[disconnect_node(N) || N <- nodes(hidden)]")
    node = Here("py@127.0.0.1", epmd)
    assert node.node.wait_registered(5)
    yield node
    node.close()


@pytest.fixture
def client(otp: Otp, epmd: Epmd) -> Iterator[ErlangClient]:
    """A connection of ours to the node of OTP."""
    made = connect(otp.name, SECRET, epmd_port=epmd.port)
    yield made
    made.close()


PY = "'py@127.0.0.1'"


# -- Erlang talks to us ----------------------------------------------------------------------------


def test_a_ping_is_answered(otp: Otp, here: Here) -> None:
    """`net_adm:ping` says pong, and we are there as a hidden node."""
    assert otp.eval(f"net_adm:ping({PY})") == "pong"
    assert otp.eval("{nodes(), nodes(hidden)}") == "{[],['py@127.0.0.1']}"
    assert here.node.peers == ["otp@127.0.0.1"]


def test_a_message_reaches_its_process_and_is_answered(otp: Otp, here: Here) -> None:
    """`{Name, Node} ! {self(), Msg}` gets what the function returned."""
    sent = f"{{echo, {PY}}} ! {{self(), hello}}"
    assert otp.eval(sent, "receive X -> X after 2000 -> none end") == "{reply,hello}"


def test_messages_come_in_order_and_to_functions_without_arguments(otp: Otp, here: Here) -> None:
    """One process is one thread; the documentation's own example takes no message."""
    otp.eval(f"[{{tell, {PY}}} ! I || I <- lists:seq(1, 500)]")
    eventually(lambda: here.functions.told == list(range(1, 501)))
    otp.eval(f"{{bare, {PY}}} ! x")
    eventually(lambda: here.functions.told[-1] == "called")


def test_a_gen_server_call_gets_what_the_function_returns(otp: Otp, here: Here) -> None:
    """Also `undefined`, for a function that returns None; a cast is a message."""
    assert otp.eval(f"gen_server:call({{echo, {PY}}}, {{1, two}})") == "{reply,two}"
    assert otp.eval(f"gen_server:call({{tell, {PY}}}, three)") == "undefined"
    assert otp.eval(f"gen_server:cast({{tell, {PY}}}, four)") == "ok"
    eventually(lambda: here.functions.told == [Atom("three"), Atom("four")])


def test_a_call_fails_at_once_if_the_function_raises_or_there_is_none(otp: Otp, here: Here) -> None:
    """The caller does not wait for its five seconds."""
    start = time.monotonic()
    assert "{python_exception,'ZeroDivisionError'," in otp.eval(
        f"gen_server:call({{boom, {PY}}}, 0)"
    )
    assert otp.eval(f"gen_server:call({{nosuch, {PY}}}, 0)").startswith("{exit,{noproc,")
    assert time.monotonic() - start < 3
    assert otp.eval(f"gen_server:call({{boom, {PY}}}, 2)") == "0.5"


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("rpc:call(N, m, add, [2, 3])", "5"),
        ("erpc:call(N, m, add, [2, 300])", "302"),
        ("rpc:call(N, 'Elixir.Some', where, [])", "{'Elixir.Some',[\"ab\",undefined,true]}"),
        ("rpc:block_call(N, m, add, [1, 2])", "3"),
        ("rpc:yield(rpc:async_call(N, m, add, [1, 2]))", "3"),
        ("rpc:multicall([N], m, add, [1, 2])", "{[3],[]}"),
        ("erpc:multicall([N, N], m, add, [1, 2])", "[{ok,3},{ok,3}]"),
        ("rpc:sbcast([N], tell, x)", "{['py@127.0.0.1'],[]}"),
        ("rpc:sbcast([N], nosuch, x)", "{[],['py@127.0.0.1']}"),
        ("rpc:cast(N, m, add, [1])", "true"),
        ("erpc:cast(N, m, add, [1])", "ok"),
        ("rpc:call(N, m, nosuch, [2, 3])", "{badrpc,{'EXIT',{undef,[{m,nosuch,[2,3],[]}]}}}"),
        ("rpc:block_call(N, m, no, [])", "{badrpc,{'EXIT',{undef,[{m,no,[],[]}]}}}"),
        ("erpc:call(N, m, nosuch, [])", "{error,{exception,undef,[{m,nosuch,[],[]}]}}"),
        (
            "rpc:call(N, m, boom, [])",
            "{badrpc,{'EXIT',{{python_exception,'ZeroDivisionError',<<\"division by zero\">>},"
            "[{m,boom,0,[]}]}}}",
        ),
        ("rpc:call(N, m, wait, [], 100)", "{badrpc,timeout}"),
        ("erpc:call(N, m, wait, [], 100)", "{error,{erpc,timeout}}"),
        ("rpc:call(N, erlang, halt, [])", "{badrpc,{'EXIT',{undef,[{erlang,halt,[],[]}]}}}"),
        ("rpc:call(N, os, system, [x])", "{badrpc,{'EXIT',{undef,[{os,system,[x],[]}]}}}"),
        ("spawn_monitor(N, erlang, halt, [])", "{error,notsup}"),
        ("element(1, catch erpc:call(N, fun() -> 1 end))", "'EXIT'"),
    ],
)
def test_rpc_calls_registered_functions_and_nothing_else(
    otp: Otp, here: Here, expression: str, printed: str
) -> None:
    """Results, errors and time-outs read as those of a real node; nothing unregistered runs."""
    assert otp.eval(f"N = {PY}", expression) == printed
    assert otp.eval(f"net_adm:ping({PY})") == "pong"  # it cost nobody the connection
    assert otp.eval("process_info(self(), messages)") == "{messages,[]}"


def test_a_result_that_erlang_has_not_is_an_error_of_the_call(otp: Otp, here: Here) -> None:
    """Never nothing, and never a term that would cost the connection."""
    assert "python_exception,'BadTerm'" in otp.eval(f"rpc:call({PY}, m, nan, [], 2000)")
    assert otp.eval(f"rpc:call({PY}, m, add, [1])") == "1"


def test_a_call_from_a_c_node_is_answered(otp: Otp, here: Here) -> None:
    """`{Pid, {call, M, F, Args, user}}` to `rex`, as the ei library sends it."""
    sent = f"{{rex, {PY}}} ! {{self(), {{call, m, add, [20, 22], user}}}}"
    assert otp.eval(sent, "receive X -> X after 2000 -> none end") == "{rex,42}"


TERMS = [
    *("0", "255", "256", "-1", "1 bsl 31", "1 bsl 3000", "-(1 bsl 3000)", "1.5", "-0.0", "1.0e300"),
    *("abc", "'з'", "true", "undefined", "''", "[]", '"ab"', '"зи"', "[1,2,300]", "[1|2]", "[[]]"),
    *("lists:duplicate(70000, $a)", "lists:seq(1, 70000)", "{}", "{1,{2}}", "list_to_tuple(S)"),
    *('<<"abc">>', "<<>>", "<<5:3>>", "<<0:800000>>", "#{}", "#{1=>2}", "#{[300]=>x,#{a=>1}=>y}"),
    *("#{true=>1,1=>2}", "#{{t,[1]}=>z}", "maps:from_list([{I,I}||I<-S])", "self()", "make_ref()"),
    *("alias()", "hd(erlang:ports())", "fun erlang:self/0", "fun(X) -> {X, S} end"),
    "lists:foldl(fun(_, A) -> {A} end, x, lists:seq(1, 200))",
]


@pytest.mark.parametrize("term", TERMS)
def test_every_kind_of_term_goes_through_python_unchanged(otp: Otp, here: Here, term: str) -> None:
    """What a Python function got and returned is what Erlang had sent."""
    sent = f"{{echo, {PY}}} ! {{self(), T}}"
    got = otp.eval(f"S = lists:seq(1, 300), T = {term}", sent, "receive {reply, R} -> R =:= T end")
    assert got == "true"


def test_a_large_message_comes_whole(otp: Otp, here: Here) -> None:
    """Twenty megabytes there and back."""
    sent = f"T = binary:copy(<<1>>, 20000000), {{echo, {PY}}} ! {{self(), T}}"
    assert otp.eval(sent, "receive {reply, R} -> R =:= T end") == "true"


def test_links_and_monitors_of_our_processes_hold(otp: Otp, here: Here) -> None:
    """A registered process lives; a pid that never was is `noproc`; an unlink is acknowledged."""
    pid = here.node.pid_of("echo")
    dead = Pid(pid.node, 999, 0, pid.creation)
    here.functions.call = lambda *_: (pid, dead)
    got = f"{{P, D}} = rpc:call({PY}, m, pids, [])"
    flag = "process_flag(trap_exit, true)"
    assert otp.eval(got, "monitor(process, P)", "receive X -> X after 200 -> none end") == "none"
    assert "noproc}" in otp.eval(got, "monitor(process, D)", "receive X -> X end")
    assert ",noproc}" in otp.eval(flag, got, "link(D)", "receive X -> X after 2000 -> none end")
    linked = [flag, got, "link(P)", "unlink(P)", "link(P)", "exit(P, kill)", "P ! {self(), alive}"]
    assert otp.eval(*linked, "receive {reply, X} -> X end") == "alive"
    assert "noproc}" in otp.eval(
        f"monitor(process, {{nosuch, {PY}}})", "receive {'DOWN', _, _, _, _} = X -> X end"
    )


def test_messages_to_nobody_and_broken_requests_cost_nothing(otp: Otp, here: Here) -> None:
    """They are dropped, and the connection goes on."""
    pid = here.node.pid_of("echo")
    here.functions.call = lambda *_: Pid(pid.node, 999, 0, pid.creation)
    for message in (
        f"{{nosuch, {PY}}} ! x",
        f"rpc:call({PY}, m, f, []) ! x",
        f"{{rex, {PY}}} ! [x | y]",
        f"{{rex, {PY}}} ! {{self(), {{call, 1, f, x, user}}}}",
        f"{{net_kernel, {PY}}} ! {{'$gen_call', x, y}}",
        f"{{tell, {PY}}} ! #{{1 => a, 1.0 => b}}",
        f"{{tell, {PY}}} ! lists:foldl(fun(_, A) -> {{A}} end, x, lists:seq(1, 300))",
    ):
        otp.eval(message)
    assert otp.eval(f"gen_server:call({{echo, {PY}}}, a)") == "a"
    assert here.functions.told == []
    assert sum("is dropped" in line for line in here.log) == 2


def test_another_cookie_is_refused(epmd: Epmd, here: Here, tmp_path: Path) -> None:
    """A node with it gets pang, and the log says cookie, but not which."""
    with running("other@127.0.0.1", epmd, tmp_path, cookie="other-cookie-of-tests") as other:
        assert other.eval(f"net_adm:ping({PY})") == "pang"
    eventually(lambda: any("cookie" in line for line in here.log))
    assert not any("of-tests" in line or COOKIE in line for line in here.log)
    assert here.node.peers == []


def test_a_flood_holds_its_sender_and_loses_nothing(otp: Otp, here: Here) -> None:
    """A full mailbox stops the reader; when there is room all comes, in its order."""
    flood = f"[{{gated, {PY}}} ! {{I, binary:copy(<<0>>, 10000)}} || I <- lists:seq(1, 3000)]"
    otp.eval(f"spawn(fun() -> {flood} end)")
    box = here.node._processes["gated"].crew._mailbox
    eventually(lambda: box._messages == 1000)
    here.functions.gate.set()
    eventually(lambda: len(here.functions.told) == 3000, within=20)
    assert here.functions.told == list(range(1, 3001))


def test_a_connection_lives_through_short_tick_times(
    epmd: Epmd, here: Here, tmp_path: Path
) -> None:
    """With `net_ticktime 4`: an idle one, a busy one, and one whose mailbox is full."""
    busy, full = Here("busy@127.0.0.1", epmd), Here("full@127.0.0.1", epmd)
    names = "['py@127.0.0.1','busy@127.0.0.1','full@127.0.0.1']"
    flood = "[{gated, 'full@127.0.0.1'} ! {I, binary:copy(<<0>>, 10000)} || I <- lists:seq(1,3000)]"
    casts = "L = fun L() -> {tell, 'busy@127.0.0.1'} ! x, timer:sleep(100), L() end"
    try:
        with running("tick@127.0.0.1", epmd, tmp_path, "-kernel", "net_ticktime", "4") as otp:
            assert otp.eval(f"[net_adm:ping(N) || N <- {names}]") == "[pong,pong,pong]"
            otp.eval(f"spawn(fun() -> {flood} end), spawn(fun() -> {casts}, L() end)")
            watch = f"[monitor_node(N, true) || N <- {names}]"
            down = otp.eval(watch, "receive {nodedown, _} = X -> X after 6500 -> all_up end")
            assert down == "all_up"
            assert busy.functions.told
    finally:
        for node in (busy, full):
            node.functions.gate.set()
            node.node.stop()


# -- strangers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0", b"\xff" * 100, b"\0\x07n\0\x05\0\0\0\0"],
)
def test_garbage_is_hung_up_on(here: Here, greeting: bytes) -> None:
    """At once and without an answer."""
    with socket.create_connection(("127.0.0.1", here.node.port), 5) as line:
        line.sendall(greeting)
        assert _last_words(line) == b""
    eventually(lambda: any("is refused" in sentence for sentence in here.log))


def test_a_stranger_that_says_nothing_is_hung_up_on(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one deadline for the whole handshake: a byte now and then does not move it."""
    monkeypatch.setattr(connection_module, "HANDSHAKE_S", 0.3)
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", here.node.port), 5) as line:
        line.sendall(b"\0")
        line.settimeout(0.1)
        ended = False
        while not ended and time.monotonic() - start < 5:
            try:
                ended = not line.recv(1)
            except TimeoutError:
                line.sendall(b"\x15")
            except OSError:
                ended = True
    assert time.monotonic() - start < 2
    eventually(lambda: any("0.3 s" in sentence for sentence in here.log))


def test_strangers_are_few_at_a_time(otp: Otp, here: Here) -> None:
    """The twenty-first is not even listened to; when they are gone, all is as before."""
    lines = [socket.create_connection(("127.0.0.1", here.node.port), 5) for _ in range(21)]
    try:
        assert _last_words(lines[-1]) == b""
    finally:
        for line in lines:
            line.close()
    eventually(lambda: not here.node._board._strangers)
    assert otp.eval(f"net_adm:ping({PY})") == "pong"


class Stranger:
    """A peer that knows the cookie and then says what it likes."""

    def __init__(self, here: Here, name: str = "bad@127.0.0.1", cookie: bytes = SECRET) -> None:
        self.pid = Pid(Atom(name), 1, 0, 1)
        self.ref = Ref(Atom(name), 1, (1, 2, 3))
        self._line = connection_module.dial("127.0.0.1", here.node.port, 5)
        self._packets = Packets()
        self._heard: list[Message] = []
        side = Initiator(Local(name, 1, cookie, 1))
        try:
            connection_module.shake(self._line, side, 5)
        except MuleteerError:
            self._line.close()
            raise
        self._heard += [decode_message(packet) for packet in self._packets.feed(side.rest)]

    def call(self, request: Ref, function: str, *arguments: Any) -> bytes:
        """A call of a function, as erpc:call sends it."""
        what = (Atom("erpc"), Atom("execute_call"), 4)
        control = (29, request, self.pid, self.pid, what, [Atom("monitor")])
        return encode_message(control, [self.ref, Atom("m"), Atom(function), list(arguments)])

    def say(self, *packets: bytes) -> None:
        """Send; it may have been hung up on."""
        try:
            self._line.sendall(b"".join(packets))
        except OSError:
            pass

    def hear(self) -> Any:
        """The next message that is no tick; None at the end."""
        self._line.settimeout(5)
        while not self._heard:
            try:
                data = self._line.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._heard += [decode_message(packet) for packet in self._packets.feed(data) if packet]
        return self._heard.pop(0)

    def close(self) -> None:
        """Hang up."""
        self._line.close()


@pytest.fixture
def stranger(here: Here) -> Iterator[Stranger]:
    """A peer that knows the cookie, connected to our node."""
    made = Stranger(here)
    yield made
    made.close()


def test_an_unlink_is_acknowledged(here: Here, stranger: Stranger) -> None:
    """With our pid first; a node that hears nothing keeps the link in mind."""
    ours = here.node.pid_of("echo")
    stranger.say(encode_message((35, 5, stranger.pid, ours)))
    assert stranger.hear() == Message(Op.UNLINK_ID_ACK, (5, ours, stranger.pid))


def test_a_result_that_nobody_awaits_is_not_sent(here: Here, stranger: Stranger) -> None:
    """The caller's time was up: it ended its monitor. Other calls run meanwhile."""
    wait, add = (Ref(stranger.pid.node, 1, (number,)) for number in (1, 2))
    stranger.say(stranger.call(wait, "wait"))
    stranger.say(encode_message((20, stranger.pid, stranger.pid, wait)))
    stranger.say(stranger.call(add, "add", 1, 2))
    assert [stranger.hear().op for _ in range(2)] == [Op.SPAWN_REPLY, Op.SPAWN_REPLY]
    assert stranger.hear().args[2:] == (add, (stranger.ref, Atom("return"), 3))
    here.functions.gate.set()
    for number in range(20):
        stranger.say(stranger.call(add, "add", number))
        heard = [stranger.hear().args for _ in range(2)]
        assert {args[0] for args in heard} & {add}
        assert wait not in {args[2] for args in heard}


def test_calls_one_after_the_other_need_one_thread(here: Here, stranger: Stranger) -> None:
    """Threads are started when there is nobody idle, not for each call."""
    for _ in range(50):
        stranger.say(stranger.call(stranger.ref, "add", 1))
        assert [stranger.hear().op for _ in range(2)] == [Op.SPAWN_REPLY, Op.MONITOR_P_EXIT]
    assert sum(t.name == "erlang-rpc" for t in threading.enumerate()) <= 3


def test_a_pid_of_a_third_node_is_not_answered(here: Here, stranger: Stranger) -> None:
    """A message must not make us connect to, or speak of, a node that is not its sender's."""
    for pid in (Pid(Atom("third@127.0.0.1"), 1, 0, 1), stranger.pid):
        stranger.say(encode_message((6, stranger.pid, Atom(""), Atom("echo")), (pid, pid.id)))
    assert stranger.hear() == Message(Op.SEND, (Atom(""), stranger.pid), (Atom("reply"), 1))
    assert here.node.peers == [stranger.pid.node]


def test_a_second_connection_of_a_peer_ends_its_first(here: Here, stranger: Stranger) -> None:
    """It lost the first one and we have not noticed; but only who has the cookie can do that."""
    with pytest.raises(NodeRefused, match="cookie"):
        Stranger(here, cookie=b"wrong")
    again = Stranger(here)
    assert stranger.hear() is None
    again.say(again.call(again.ref, "add", 1))
    assert again.hear().op == Op.SPAWN_REPLY
    assert here.node.peers == [again.pid.node]
    again.close()


@pytest.mark.parametrize(("theirs", "status"), [("zz", b"ok_simultaneous"), ("aa", b"nok")])
def test_both_connecting_at_once_end_with_one_connection(
    here: Here, epmd: Epmd, theirs: str, status: bytes
) -> None:
    """The greater name's connection counts, and the message takes it."""
    name = f"{theirs}@127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        known = epmd_module.Registration(theirs, port, port=epmd.port, warn=print)
        assert known.registered.wait(5)
        sender = threading.Thread(target=here.node.send, args=(("x", name), b"hello"))
        sender.start()
        ours, _ = server.accept()
        ours.settimeout(5)
        side = Acceptor(Local(name, 1, SECRET, 1), lambda peer: "ok")
        greeting = ours.recv(4096)  # our node dials, and is not answered yet
        if status == b"nok":
            with pytest.raises(NodeRefused, match="connecting to us"):
                Stranger(here, name)
            ours.sendall(side.feed(greeting))
            connection_module.shake(ours, side, 5)
            first = Packets().feed(ours.recv(4096))[0]
        else:
            ours.sendall(b"\0\x04snok")
            assert ours.recv(1) == b""  # it gave up its own connection, and waits for ours
            winner = Stranger(here, name)
            heard = winner.hear()
            winner.close()
            first = encode_message((heard.op, *heard.args), heard.payload)[4:]
        assert decode_message(first).payload == b"hello"
        ours.close()
        sender.join(5)
        known.close()


def test_a_peer_that_breaks_the_protocol_is_hung_up_on(here: Here) -> None:
    """A broken control message ends its connection and nothing else."""
    for packet in (
        b"\0\0\0\1x",
        b"\xff\xff\xff\xff",
        encode_message((1 << 100_000, 1)),
        encode_message((6, 1, Atom(""), Atom("echo")), 1),
        encode_message((6, Pid("b@h", 1, 1, 1), Atom(""), 5), 1),
        encode_message((19, 1, 2, 3)),
        encode_message((19, Pid("b@h", 1, 1, 1), Atom("echo"), 3)),
        encode_message((35, Atom("x"), 1, 2)),
        encode_message((29, 1, 2, 3, 4, 5), 6),
    ):
        stranger = Stranger(here)
        stranger.say(packet)
        assert stranger.hear() is None
        stranger.close()
    eventually(lambda: here.node.peers == [])


def test_a_peer_cannot_wear_out_the_threads(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    """Requests that cannot be answered, exceptions that cannot be shown, exits: all go on."""
    stranger, deep = Stranger(here), cast("Any", 1)
    for _ in range(247):
        deep = (deep,)

    def request(number: int, payload: Any) -> bytes:
        ref = Ref(stranger.pid.node, 1, (number,))
        what = (Atom("erpc"), Atom("execute_call"), 4)
        control = (29, ref, stranger.pid, stranger.pid, what, [Atom("monitor")])
        return encode_message(control, payload)

    def answers(count: int) -> Counter[int]:
        return Counter(stranger.hear().op for _ in range(count))

    with caplog.at_level(logging.CRITICAL, "muleteer.app"):
        for name, arguments in (("nosuch", [deep]), ("ugly", []), ("leave", [])):
            call = [stranger.ref, Atom("m"), Atom(name), arguments]
            stranger.say(*(request(number, call) for number in range(40)))
            assert answers(80) == {Op.SPAWN_REPLY: 40, Op.MONITOR_P_EXIT: 40}
        for broken in (0, {}, deep, [stranger.ref], [1, Atom("m"), Atom("add"), []]):
            stranger.say(request(1, broken))
            assert stranger.hear().args[3] == Atom("badarg")
        stranger.say(request(1, [stranger.ref, Atom("m"), Atom("add"), [1, 2]]))
        assert stranger.hear().op == Op.SPAWN_REPLY
        assert stranger.hear().args[3] == (stranger.ref, Atom("return"), 3)
    stranger.close()


def test_mutated_messages_do_not_stop_the_node(otp: Otp, here: Here) -> None:
    """Seeded: whatever a peer says, the others are served, and its threads end with it."""
    dice = random.Random(3)
    stranger = Stranger(here)
    what = (Atom("erpc"), Atom("execute_call"), 4)
    control = (29, stranger.ref, stranger.pid, stranger.pid, what, [Atom("monitor")])
    caller = (stranger.pid, Improper((Atom("alias"),), stranger.ref))
    seeds = [
        encode_message(control, [stranger.ref, Atom("m"), Atom("add"), [1, 2]]),
        encode_message((6, stranger.pid, Atom(""), Atom("echo")), (stranger.pid, {b"a": 1})),
        encode_message((6, stranger.pid, Atom(""), Atom("echo")), (Atom("$gen_call"), caller, 1)),
        encode_message((6, stranger.pid, Atom(""), Atom("rex")), (stranger.pid, (Atom("call"),))),
        encode_message((19, stranger.pid, Atom("echo"), stranger.ref)),
        encode_message((35, 1, stranger.pid, here.node.pid_of("echo"))),
    ]
    for _ in range(400):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(4, len(data))] = dice.randrange(256)
        stranger.say(bytes(data))
        if dice.random() < 0.2 or not here.node.peers:
            stranger.close()
            stranger = Stranger(here)
    stranger.close()
    assert otp.eval(f"net_adm:ping({PY})") == "pong"
    assert otp.eval(f"rpc:call({PY}, m, add, [1, 2], 5000)") == "3"
    assert otp.eval(f"gen_server:call({{echo, {PY}}}, {{hi}})") == "{hi}"
    eventually(lambda: here.node.peers == [otp.name])


def _last_words(line: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    try:
        return line.recv(1000)
    except ConnectionResetError:
        return b""


# -- epmd ------------------------------------------------------------------------------------------


def test_a_node_starts_without_epmd_and_registers_when_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And again when epmd was restarted."""
    monkeypatch.setattr(epmd_module, "RETRY_S", 0.05)
    mapper = Epmd().start()
    mapper.stop()
    here = Here("lonely@127.0.0.1", mapper)
    try:
        eventually(lambda: here.log)
        assert not here.node.wait_registered(0)
        for _ in range(2):
            mapper.start()
            assert here.node.wait_registered(5)
            found = epmd_module.look_up("lonely", "127.0.0.1", port=mapper.port)
            assert found == here.node.port
            mapper.stop()
            eventually(lambda: not here.node.wait_registered(0))
        assert 2 <= len(here.log) <= 6  # said once each time, not at every try
    finally:
        here.close()
        mapper.stop()


def test_a_name_that_is_taken_is_said(epmd: Epmd, here: Here) -> None:
    """Two servers of one name: the second one says so, and goes on trying."""
    second = Here("py@127.0.0.1", epmd)
    try:
        eventually(lambda: any("is taken" in sentence for sentence in second.log))
    finally:
        second.node.stop()


def test_a_node_that_stopped_is_gone_from_epmd(epmd: Epmd, here: Here) -> None:
    """At once: the next one can have its name."""
    here.node.stop()

    def is_gone() -> bool:
        with pytest.raises(NodeDown, match="knows no node"):
            epmd_module.look_up("py", "127.0.0.1", port=epmd.port)
        return True

    assert is_gone()


def test_erlangs_own_variable_says_where_epmd_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """ERL_EPMD_PORT, as for every node; nonsense in it is the default."""
    for text, port in (("14369", 14369), ("", 4369), ("x", 4369), ("99999", 4369)):
        monkeypatch.setenv("ERL_EPMD_PORT", text)
        assert epmd_module.default_port() == port


# -- we talk to Erlang -----------------------------------------------------------------------------


def test_a_message_goes_out_and_its_answer_comes_in(client: ErlangClient, otp: Otp) -> None:
    """To a name, and to a pid as uWSGI wrote it, in three numbers."""
    client.send("echo", (client.pid, "Hello"))
    assert client.recv(5) == (Atom("reply"), b"Hello")
    pid = client.rpc("erlang", "whereis", [Atom("echo")], 5)
    for to in (pid, (pid.id, pid.serial, pid.creation)):
        client.send(to, (client.pid, 7))
        assert client.recv(5) == (Atom("reply"), 7)
    assert client.node == otp.name


def test_a_message_to_any_process_of_the_connection_is_received(
    client: ErlangClient, otp: Otp
) -> None:
    """As uWSGI's recv does; a ping is answered and is no message."""
    name = client.identity.name
    assert otp.eval(f"net_adm:ping('{name}')") == "pong"
    otp.eval(f"{{whoever, '{name}'}} ! hi")
    assert client.recv(5) == Atom("hi")
    with pytest.raises(NoAnswer):
        client.recv(0.01)


def test_functions_of_erlang_are_called(client: ErlangClient) -> None:
    """The value, or `{badrpc, Reason}` as Erlang has it."""
    assert client.rpc("lists", "seq", [1, 3], 5) == Charlist("\1\2\3")
    assert client.rpc("erlang", "node", [], 5) == Atom("otp@127.0.0.1")
    assert client.rpc("maps", "from_list", [[(Atom("a"), 1.5)]], 5) == {Atom("a"): 1.5}
    badrpc, (exit_, (reason, _stack)) = client.rpc("m", "nosuch", [], 5)
    assert (badrpc, exit_, reason) == (Atom("badrpc"), Atom("EXIT"), Atom("undef"))


def test_a_late_answer_is_dropped(client: ErlangClient) -> None:
    """It is neither the next call's answer nor a message."""
    with pytest.raises(NoAnswer, match="otp@127"):
        client.rpc("timer", "sleep", [50], 0.001)
    assert client.rpc("erlang", "abs", [-5], 5) == 5
    with pytest.raises(NoAnswer):
        client.recv(0.1)


def test_threads_share_a_connection(client: ErlangClient) -> None:
    """Each gets its own answer."""
    answers: dict[int, Any] = {}

    def ask(number: int) -> None:
        answers[number] = [client.rpc("erlang", "abs", [-number], 10) for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number] * 20 for number in range(1, 9)}


def test_clients_have_names_of_their_own(client: ErlangClient, otp: Otp, epmd: Epmd) -> None:
    """Two connections to one node live side by side."""
    second = connect(otp.name, SECRET, epmd_port=epmd.port)
    try:
        assert second.identity.name != client.identity.name
        assert [one.rpc("erlang", "abs", [-1], 5) for one in (client, second)] == [1, 1]
    finally:
        second.close()


def test_what_erlang_would_not_accept_is_refused_before_it_is_sent(client: ErlangClient) -> None:
    """The connection goes on."""
    with pytest.raises(BadTerm):
        client.send("echo", float("nan"))
    with pytest.raises(BadTerm):
        client.send(Pid("another@host", 1, 2, 3), 1)
    assert client.rpc("erlang", "abs", [-1], 5) == 1


def test_a_connection_that_cannot_be_had_says_why(otp: Otp, epmd: Epmd) -> None:
    """No node, no epmd, another cookie, no name: one sentence each, and soon."""
    start = time.monotonic()
    for name, cookie, port, error, words in (
        ("nobody@127.0.0.1", SECRET, epmd.port, NodeDown, "knows no node nobody"),
        (otp.name, SECRET, 1, NodeDown, "does not answer"),
        (otp.name, b"another-cookie", epmd.port, NodeRefused, "cookie"),
        ("noname", SECRET, epmd.port, BadValue, "name@host"),
        (otp.name, b"", epmd.port, BadValue, "erlang-cookie"),
    ):
        with pytest.raises(error, match=words):
            connect(name, cookie, epmd_port=port)
    assert time.monotonic() - start < 5


def test_the_end_of_a_node_is_the_end_of_its_connections(epmd: Epmd, tmp_path: Path) -> None:
    """What came before can be received still; then NodeLost, for receivers and callers alike."""
    with running("brief@127.0.0.1", epmd, tmp_path) as brief:
        client = connect(brief.name, SECRET, epmd_port=epmd.port)
        brief.eval(f"{{x, '{client.identity.name}'}} ! last")
        ends: list[str] = []

        def sleep() -> None:
            with pytest.raises(NodeLost) as caught:
                client.rpc("timer", "sleep", [60_000], 20)
            ends.append(str(caught.value))

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        eventually(lambda: client._calls)
    sleeper.join(5)
    assert "brief@127" in ends[0]
    assert client.recv(5) == Atom("last")
    with pytest.raises(NodeLost, match="brief@127"):
        client.recv(5)
    with pytest.raises(NodeLost, match="brief@127"):
        client.rpc("erlang", "abs", [-1], 5)
    assert not client.is_open
    client.close()


def test_our_node_connects_under_its_own_name(otp: Otp, here: Here) -> None:
    """So that Erlang can answer to it; the connection is one for both directions."""
    here.node.send(("echo", otp.name), (here.node.pid_of("tell"), b"x"))
    eventually(lambda: here.functions.told == [(Atom("reply"), b"x")])
    assert otp.eval(f"net_adm:ping({PY})") == "pong"
    assert here.node.peers == [otp.name]
    with pytest.raises(NodeDown):
        here.node.send(("echo", "nobody@127.0.0.1"), 1)


def test_two_nodes_that_connect_to_each_other_at_once_get_one_connection(epmd: Epmd) -> None:
    """Whoever's connection counts: both messages arrive."""
    for round_ in range(10):
        left = Here(f"left{round_}@127.0.0.1", epmd)
        right = Here(f"right{round_}@127.0.0.1", epmd)
        try:
            assert left.node.wait_registered(5)
            assert right.node.wait_registered(5)
            threads = [
                threading.Thread(target=a.node.send, args=(("tell", str(b.node.identity.name)), 1))
                for a, b in ((left, right), (right, left))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            eventually(lambda a=left, b=right: a.functions.told == b.functions.told == [1])
        finally:
            left.node.stop()
            right.node.stop()


def test_our_clients_and_our_node_understand_each_other(here: Here, epmd: Epmd) -> None:
    """Python to Python, as Erlang would."""
    client = connect("py@127.0.0.1", SECRET, epmd_port=epmd.port)
    try:
        assert client.rpc("m", "add", [2, 3], 5) == 5
        assert client.rpc("m", "nosuch", [], 5)[0] == Atom("badrpc")
        client.send("echo", (client.pid, "hi"))
        assert client.recv(5) == (Atom("reply"), b"hi")
    finally:
        client.close()


def test_exceptions_of_the_app_are_logged_with_their_traceback(
    otp: Otp, here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    """And the next message is handled as ever."""
    with caplog.at_level(logging.ERROR, "muleteer.app"):
        otp.eval(f"{{boom, {PY}}} ! 0")
        assert otp.eval(f"gen_server:call({{boom, {PY}}}, 4)") == "0.25"
    assert any("boom" in r.getMessage() and r.exc_info for r in caplog.records)

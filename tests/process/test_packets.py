"""Signals, tasks and pings from outside, to a real server."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server, eventually, uwsgi_packet
from tests.harness.clients import Address, connect, read_all

StartServer = Callable[..., Server]

APP = """
import uwsgi
from uwsgidecorators import signal, spool

@signal(17, target="workers")
def heard(number):
    print("worker", uwsgi.worker_id(), "heard", number, flush=True)

def work(task):
    print("task", sorted((str(k), v) for k, v in task.items() if k != "spooler_task_name"),
          flush=True)
    return uwsgi.SPOOL_OK
uwsgi.spooler = work

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    number, _, node = environ["PATH_INFO"][1:].partition("@")
    try:
        return [repr(uwsgi.signal(int(number), node)).encode()]
    except Exception as error:
        return [f"{type(error).__name__}: {error}".encode()]
"""

INI = """
socket = 127.0.0.1:0
socket = 0.0.0.0:0
socket = node.sock
module = app
processes = 2
spooler = first
spooler = second
disable-logging = true
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """Two workers, two spoolers, an exposed address among three."""
    return start_server(ini=INI, files={"app.py": APP, "first/": "", "second/": ""})


def ask(address: Address, packet: bytes) -> bytes:
    with connect(address) as sock:
        sock.sendall(packet)
        return read_all(sock)


def free_port() -> int:
    """A port that was free a moment ago: `allow-packets` names an address as it is written."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def exposed(server: Server) -> Address:
    """The address on 0.0.0.0, as this machine reaches it."""
    return ("127.0.0.1", server.addresses("uwsgi")[1][1])  # type: ignore[return-value]


def node_of(address: Address) -> str:
    return address if isinstance(address, str) else "{}:{}".format(*address)


def run(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*Server.find_command(), *words], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_signal_packet_runs_the_handlers(server: Server) -> None:
    """modifier1 110 on a loopback port and on a unix socket: acknowledged, and run."""
    for times, address in enumerate((server.uwsgi, server.addresses("uwsgi")[2]), start=1):
        assert ask(address, b"\x6e\0\0\x11") == b"\xff\0\0\1"
        server.wait_for("worker 1 heard 17", times=times)
        server.wait_for("worker 2 heard 17", times=times)


def test_a_signal_is_raised_on_another_node(server: Server) -> None:
    """`uwsgi.signal(17, node)` returns None, or says why not."""
    node = node_of(server.uwsgi)
    assert server.ask(f"/17@{node}").text == "None"
    server.wait_for("worker 2 heard 17")
    assert server.ask("/17@/nonexistent").text.startswith("NodeUnreachable: ")
    refused = server.ask(f"/17@{node_of(exposed(server))}").text
    assert refused.startswith("SignalError: ")
    assert "does not take it" in refused


def test_a_task_packet_is_a_task(server: Server) -> None:
    """Its special keys are obeyed, its body comes along, and it is acknowledged."""
    packet = uwsgi_packet([(b"name", b"x"), (b"CONTENT_LENGTH", b"4")], modifier1=17) + b"body"
    assert ask(server.uwsgi, packet) == b"\xff\0\0\1"
    server.wait_for(r"task .*b'name'.*\('body', b'body'\)")


def test_an_acknowledged_task_is_on_the_disk(server: Server) -> None:
    """One for later waits in the directory it asked for."""
    second = server.folder / "second"
    variables = [(b"at", b"9999999999"), (b"spooler", str(second).encode()), (b"a", b"b")]
    assert ask(server.uwsgi, uwsgi_packet(variables, modifier1=17)) == b"\xff\0\0\1"
    assert len(tasks_in(second)) == 1
    assert tasks_in(server.folder / "first") == []


def test_a_task_that_cannot_be_kept_is_refused(server: Server) -> None:
    """A directory that is no spooler, and a pickle for a decorator: 0, and a line in the log."""
    for variables in (
        [(b"spooler", b"/nonexistent")],
        [(b"ud_spool_func", b"f"), (b"args", b"cos\nsystem\n(S'id'\ntR.")],
    ):
        assert ask(server.uwsgi, uwsgi_packet(variables, modifier1=17)) == b"\xff\0\0\0"
    server.wait_for("was not spooled: .*no spooler of this server")
    server.wait_for("was not spooled: .*never taken from the network")


def test_an_exposed_address_takes_pings_and_requests_only(server: Server) -> None:
    """One line in the log names the port and the way out."""
    address = exposed(server)
    assert ask(address, b"\x64\0\0\0") == b"\x64\0\0\1"
    assert ask(address, b"\x6e\0\0\x11") == b"\xff\0\0\0"
    assert ask(address, uwsgi_packet([(b"a", b"b")], modifier1=17)) == b"\xff\0\0\0"
    assert ask(address, b"\xad\x06\0\0\x04\0join") == b""
    server.wait_for(rf"port {address[1]} takes no calls.*127\.0\.0\.1")
    assert "heard 17" not in server.log
    assert tasks_in(server.folder / "first") == []


@pytest.mark.parametrize(
    ("kinds", "signal", "task", "call"),
    [
        ("signal", b"\xff\0\0\1", b"\xff\0\0\0", b""),
        ("spool rpc", b"\xff\0\0\0", b"\xff\0\0\1", b"\xad\3\0\0a|b"),
        ("all", b"\xff\0\0\1", b"\xff\0\0\1", b"\xad\3\0\0a|b"),
        ("none", b"\xff\0\0\0", b"\xff\0\0\0", b""),
    ],
)
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_a_socket_takes_what_is_declared_for_it(
    start_server: StartServer, address: str, kinds: str, signal: bytes, task: bytes, call: bytes
) -> None:
    """`allow-packets` opens an exposed address for some kinds, and closes a local one for others.

    Pings and requests are for everybody.
    """
    port = free_port()
    ini = INI.replace("socket = 0.0.0.0:0", f"socket = {address}:{port}")
    ini += f"allow-packets = {address}:{port} {kinds}\n"
    app = APP + "\nuwsgi.register_rpc('join', lambda *words: b'|'.join(words))\n"
    server = start_server(ini=ini, files={"app.py": app, "first/": "", "second/": ""})
    there = ("127.0.0.1", port)
    assert ask(there, b"\x64\0\0\0") == b"\x64\0\0\1"
    assert ask(there, b"\x6e\0\0\x11") == signal
    assert ask(there, uwsgi_packet([(b"a", b"b")], modifier1=17)) == task
    assert ask(there, b"\xad\x0c\0\0\x04\0join\1\0a\1\0b") == call
    assert ask(server.uwsgi, b"\x6e\0\0\x11") == b"\xff\0\0\1", "another socket is as it was"


def test_an_unknown_packet_is_closed(server: Server) -> None:
    """And the next one is answered."""
    assert ask(server.uwsgi, b"\x62\0\0\0") == b""
    assert ask(server.uwsgi, b"\x64\0\0\0") == b"\x64\0\0\1"


@pytest.mark.parametrize("form", ["ours", "uwsgi's"])
def test_the_command_line_pings_and_signals(server: Server, form: str) -> None:
    """Both ways of writing it, with uWSGI's exit codes: 1 nobody there, 2 refused, 3 no number."""

    def ping(node: str) -> tuple[int, str, str]:
        return run("ping", node) if form == "ours" else run("--ping", node)

    def signal(node: str, number: str) -> tuple[int, str, str]:
        if form == "ours":
            return run("signal", node, number)
        return run("--signal", f"{node},{number}")

    node = node_of(server.uwsgi)
    assert ping(node) == (0, f"{node} is there\n", "")
    assert ping("/nonexistent")[0] == 1
    assert signal(node, "17") == (0, f"signal 17 delivered to {node}\n", "")
    server.wait_for("worker 1 heard 17")
    assert signal("/nonexistent", "17")[0] == 1
    code, _, err = signal(node_of(exposed(server)), "17")
    assert (code, "does not take it" in err) == (2, True)
    code, _, err = signal(node, "300")
    assert (code, "0 to 255" in err) == (3, True)


def test_the_help_names_the_commands() -> None:
    """Of the server and of each."""
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"muleteer {name} ADDRESS" in out for name in ("ping", "signal", "rpc"))
    assert run("rpc", "--help")[1].startswith("usage: muleteer rpc ")


def tasks_in(directory: Path) -> list[str]:
    found = [path.name for path in directory.iterdir() if path.name.startswith("uwsgi_spoolfile")]
    return sorted(found)


def test_every_acknowledged_task_runs_once(server: Server) -> None:
    """Twenty at once, from twenty connections."""
    for number in range(20):
        packet = uwsgi_packet([(b"number", b"<%d>" % number)], modifier1=17)
        assert ask(server.uwsgi, packet) == b"\xff\0\0\1"
    eventually(
        lambda: len(server.log.find(r"task .*<\d+>")) == 20, within=20, what="all of them ran"
    )
    assert all(len(server.log.find(f"task .*<{number}>")) == 1 for number in range(20))

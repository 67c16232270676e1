"""Tasks over the network: modifier1 17, with its body, acknowledged when it is on the disk."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from tests.harness import Server, eventually, uwsgi_packet
from tests.harness.clients import Address, connect, read_all
from tests.process.playground import Playground, StartServer, play

from muleteer.wire.spoolfile import decode_task

APP = """
import hashlib

@spool
def take(task):
    body = task.get("body", b"")
    body = body.encode() if isinstance(body, str) else body
    note("took", task["n"], len(body), hashlib.sha256(body).hexdigest())

@spool(pass_arguments=True)
def pickled(*args):
    note("pickled", *args)
"""

INI = """
socket = 127.0.0.1:0
socket = node.sock
processes = 2
spooler = spool
spooler = other
buffer-size = 65535
"""

DONE, NOT_DONE = b"\xff\0\0\1", b"\xff\0\0\0"
LATER = (b"at", b"9999999999")


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers behind a TCP and a unix socket, two spoolers."""
    return play(start_server, APP, INI, files={"other/": ""})


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, yard: Playground) -> Address:
    """Where packets go to."""
    return yard.server.addresses("uwsgi")[0 if request.param == "tcp" else 1]


def send(address: Address, *variables: tuple[bytes, bytes], body: bytes = b"") -> bytes:
    """Send a task as a packet; what came back until the connection was closed."""
    length = [(b"CONTENT_LENGTH", b"%d" % len(body))] if body else []
    with connect(address) as sock:
        sock.sendall(uwsgi_packet([*variables, *length], modifier1=17) + body)
        return read_all(sock)


def files_in(server: Server, folder: str = "spool") -> list[Path]:
    """Everything in a spool directory that a writer of tasks makes, drafts included."""
    return [p for p in (server.folder / folder).rglob("*uwsgi_spoolfile*") if p.is_file()]


def named(function: bytes, n: int) -> list[tuple[bytes, bytes]]:
    """The variables of a decorated function's task."""
    return [(b"ud_spool_func", function), (b"ud_spool_ret", b"-2"), (b"n", b"%d" % n)]


def test_body_of_any_size_comes_along(yard: Playground, address: Address) -> None:
    """uWSGI ignores it."""
    for n, size in enumerate((0, 1, 65536, 3_000_000)):
        body = random.Random(n).randbytes(size)
        assert send(address, *named(b"take", n), body=body) == DONE
        yard.wait_for(f"took {n} {size} {hashlib.sha256(body).hexdigest()}")


def test_acknowledged_task_is_on_the_disk(yard: Playground, address: Address) -> None:
    """Whole, under its name, in the directory and with the priority that it asks for."""
    other = str(yard.folder / "other").encode()
    variables = [LATER, (b"spooler", other), (b"priority", b"7"), (b"a", b"b")]
    assert send(address, *variables, body=b"body") == DONE
    (file,) = files_in(yard.server, "other")
    assert file.parent.name == "7"
    assert file.stat().st_mtime == 9999999999
    task = decode_task(file.read_bytes())
    assert task.body == b"body"
    assert task.vars.items() >= dict(variables).items()


def test_packet_that_breaks_off_is_no_task(yard: Playground, address: Address) -> None:
    """In the middle of the header, of a variable, of the body: nothing is kept."""
    length = (b"CONTENT_LENGTH", b"100000")
    packet = uwsgi_packet([LATER, (b"a", b"b"), length], modifier1=17) + b"x" * 50_000
    for cut in (2, 9, 30, 1000, 50_000):
        with connect(address) as sock:
            sock.sendall(packet[:cut])
    assert send(address, LATER) == DONE
    assert len(files_in(yard.server)) == 1


def test_directory_that_cannot_be_written_is_refused(yard: Playground, address: Address) -> None:
    """0, a line in the log; and when it is back all is well."""
    spool, away = yard.folder / "spool", yard.folder / "away"
    spool.rename(away)
    assert send(address, *named(b"take", 1)) == NOT_DONE
    yard.server.wait_for("a task from another node was not spooled: spool directory .*/spool")
    away.rename(spool)
    assert send(address, *named(b"take", 2)) == DONE
    yard.wait_for(f"took 2 0 {hashlib.sha256().hexdigest()}")


def test_bad_task_is_refused(yard: Playground, address: Address) -> None:
    """A time that is none, a priority that is none, a spooler that is none, and a pickle."""
    for variables in (
        [(b"at", b"soon")],
        [(b"priority", b"../x")],
        [(b"spooler", b"/tmp")],
        [*named(b"pickled", 1), (b"args", b"cposix\nabort\n(tR."), (b"kwargs", b"}.")],
    ):
        assert send(address, *variables) == NOT_DONE
    assert files_in(yard.server) == []
    assert send(address, LATER) == DONE
    eventually(lambda: len(files_in(yard.server)) == 1)

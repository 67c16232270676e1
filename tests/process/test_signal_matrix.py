"""Every target of a signal from every place it may be raised: each cell of the table.

What handles is noted by each process itself; a signal for "any" may be anybody's of its kind.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import connect, read_all
from tests.process.playground import Playground, play

CODE = """
def here():
    kinds = ((uwsgi.worker_id(), "worker"), (uwsgi.mule_id(), "mule"))
    return next((f"{kind}{number}" for number, kind in kinds if number), "spooler")

def handled(signum):
    note(signum, here(), os.getpid())

TARGETS = ["", "worker", "worker0", "worker2", "workers", "active-workers", "spooler",
           HERE + "/second", "mule", "mule0", "mule2", "mules", "farm_barn", "farm2"]
for signum, target in enumerate(TARGETS, 100):
    uwsgi.register_signal(signum, target, handled)

def raise_all():
    for signum in range(100, 100 + len(TARGETS)):
        uwsgi.signal(signum)

@spool
def from_task(arguments):
    raise_all()

@mulefunc
def from_mule():
    raise_all()

def from_thread():
    thread = threading.Thread(target=raise_all)
    thread.start()
    thread.join()

def from_clock():
    for signum in range(100, 100 + len(TARGETS)):
        uwsgi.add_rb_timer(signum, 0.05, 1)

@rpc("raise_all")
def from_rpc():
    raise_all()
    return b"raised"

@signal(99, target="mule1")
def from_handler(signum):
    raise_all()
"""

INI = """
socket = node.sock
processes = 2
mules = 3
farm = stable:1
farm = barn:3
spooler = spool
spooler = second
"""

ANY_WORKER, ANY_MULE = {"worker1", "worker2"}, {"mule1", "mule2", "mule3"}
EXPECTED: list[tuple[set[str], int]] = [
    *[(ANY_WORKER, 1)] * 3,
    ({"worker2"}, 1),
    *[(ANY_WORKER, 2)] * 2,
    ({"spooler"}, 1),
    ({"spooler"}, 1),
    *[(ANY_MULE, 1)] * 2,
    ({"mule2"}, 1),
    (ANY_MULE, 3),
    *[({"mule3"}, 1)] * 2,
]
"""Of each target: who may handle it, and how many do."""

NUMBERS = range(100, 100 + len(EXPECTED))


def _by_packets(yard: Playground) -> None:
    """As uWSGI's own tools send them: modifier1 110."""
    for number in NUMBERS:
        with connect(yard.server.uwsgi) as sock:
            sock.sendall(bytes((110, 0, 0, number)))
            assert read_all(sock) == b"\xff\0\0\1"


def _by_command(yard: Playground) -> None:
    for number in NUMBERS:
        words = ["signal", str(yard.server.uwsgi), str(number)]
        subprocess.run([*Server.find_command(), *words], check=True, capture_output=True)


ORIGINS: dict[str, Callable[[Playground], object]] = {
    "a worker": lambda yard: yard.ask("raise_all()"),
    "a thread": lambda yard: yard.ask("from_thread()"),
    "a mule": lambda yard: yard.ask("from_mule()"),
    "a spooler": lambda yard: yard.ask("from_task.spool(a='1')"),
    "a handler": lambda yard: yard.ask("uwsgi.signal(99)"),
    "an RPC function": lambda yard: yard.ask("uwsgi.rpc('node.sock', 'raise_all')"),
    "the clock": lambda yard: yard.ask("from_clock()"),
    "the network": _by_packets,
    "the command line": _by_command,
}


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """Two workers, three mules in two farms, two spoolers, and a handler for each target."""
    started: list[Server] = []

    def start(**options: object) -> Server:
        server = Server(tmp_path_factory.mktemp("yard"), **options)  # type: ignore[arg-type]
        started.append(server)
        return server.start()

    try:
        yield play(start, CODE, INI, files={"second/": ""})
    finally:
        for server in started:
            server.close()


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_target_is_reached_from(yard: Playground, origin: str) -> None:
    """Each signal is handled where it belongs, by as many as its target says, once each."""
    before = len(yard.notes())
    ORIGINS[origin](yard)
    wanted = sum(count for _, count in EXPECTED)
    eventually(lambda: len(yard.notes()) - before >= wanted, within=15)
    yard.ask("[uwsgi.signal(n) for n in (103, 106, 107, 110)]")  # behind what was one too many
    eventually(lambda: len(yard.notes()) - before >= wanted + 4, within=15)
    seen = [line.split() for line in yard.notes()[before:]]
    for number, (who, count) in zip(NUMBERS, EXPECTED, strict=True):
        extra = int(number in (103, 106, 107, 110))
        handlers = [where for signum, where, _pid in seen if int(signum) == number]
        assert len(handlers) == count + extra, (number, handlers)
        assert set(handlers) <= who, (number, handlers)
        if count > 1:
            assert set(handlers) == who, (number, handlers)


def test_a_spooler_s_path_is_that_spooler(yard: Playground) -> None:
    """Of two spoolers always the same one handles it."""
    before = len(yard.notes())
    yard.ask("[uwsgi.signal(107) for _ in range(20)]")
    eventually(lambda: len(yard.notes()) - before >= 20, within=15)
    pids = {line.split()[2] for line in yard.notes()[before:]}
    assert pids == {str(one.pid) for one in yard.server.children("spooler") if one.id == 2}

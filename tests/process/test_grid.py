"""Stop and reload as a grid: each way to ask for it, with each kind of work in flight.

grid.py declares what each cell is. A stop has a server of its own, which its fixture proves to
leave nothing; the reloads share one, and after each all of its children are new and its master
holds no descriptor more.
"""

from __future__ import annotations

import signal as unix_signals
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client as Connection
from tests.harness.clients import http_request
from tests.harness.processes import descriptors
from tests.process import grid
from tests.process.grid import WAYS, Client, Ends, Fate, Outcome
from tests.process.playground import APP, INI, Playground, StartServer

WORK = """
import signal as unix_signals

def work(name):
    server_s = unix_signals.getsignal(unix_signals.SIGTERM)

    def asked(number, frame):
        note("asked", name, os.getpid())
        server_s(number, frame)

    unix_signals.signal(unix_signals.SIGTERM, asked)
    note("began", name, os.getpid())
    try:
        while not os.path.exists(HERE + "/let_" + name):
            time.sleep(0.005)
        note("ended", name, os.getpid())
    finally:
        unix_signals.signal(unix_signals.SIGTERM, server_s)
    return name

def armed(kind):
    try:
        with open(f"{HERE}/armed_{kind}") as file:
            name = file.read()
        os.unlink(f"{HERE}/armed_{kind}")
    except FileNotFoundError:
        return None
    return name

def arm(kind, name):
    with open(f"{HERE}/arming", "w") as file:
        file.write(name)
    os.rename(f"{HERE}/arming", f"{HERE}/armed_{kind}")

@spool
def task(arguments):
    work(arguments["name"])

@mulefunc
def message(name):
    work(name)

@signal(17)
def handler(number):
    work(armed("signal"))

@timer(1)
def tick(number):
    name = armed("timer")
    if name:
        work(name)
"""
STREAM = """
evaluate = application

def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    return stream(name, start_response) if name else evaluate(environ, start_response)

def stream(name, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first, "
    yield work(name).encode()
"""
SERVER = (
    INI
    + """
processes = 2
mules = 1
spooler = spool
touch-reload = bell
master-fifo = fifo
"""
)
SHORT = "worker-reload-mercy = 1\nmule-reload-mercy = 1\nspooler-mercy = 1\n"
FILES = {"app.py": APP.format(code=WORK) + STREAM, "spool/": ""}
CHILDREN = {"zygote": 1, "worker": 2, "mule": 1, "spooler": 1}


# -- the two servers ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """The server that lives through every reload."""
    with Server(tmp_path_factory.mktemp("grid"), ini=SERVER, files=FILES) as server:
        yield Playground(server)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """The same with a mercy of a second."""
    folder = tmp_path_factory.mktemp("hasty")
    with Server(folder, ini=SERVER + SHORT, files=FILES) as server:
        yield Playground(server)


@pytest.fixture
def yard_for(
    start_server: StartServer, request: pytest.FixtureRequest
) -> Callable[..., Playground]:
    """The server of a cell: one of its own for a stop."""

    def choose(way: str, mercy: str = "") -> Playground:
        if WAYS[way] is Ends.STOP:
            return Playground(start_server(ini=SERVER + mercy, files=FILES))
        yard: Playground = request.getfixturevalue("hasty" if mercy else "lasting")
        return yard

    return choose


# -- asking for it -----------------------------------------------------------------------------


def ask(yard: Playground, way: str) -> None:
    """Ask for a stop or a reload in one of the ways."""
    match way:
        case "uwsgi.stop()" | "uwsgi.reload()":
            yard.ask(way)
        case "touch-reload":
            (yard.folder / "bell").touch()
        case "chain reload":
            (yard.folder / "fifo").write_text("c")
        case _:
            yard.server.send(unix_signals.Signals[way])


# -- work --------------------------------------------------------------------------------------


@dataclass
class Flight:
    """One piece of work, from its begin to its fate."""

    yard: Playground
    kind: str
    name: str = field(default_factory=lambda: f"w{time.monotonic_ns()}")
    connection: Connection | None = None

    def begin(self) -> None:
        """Have it in hand: a process works on it, and will until it is let."""
        BEGINNINGS[self.kind](self)
        if self.kind != "idle":
            eventually(lambda: self.pids("began"), within=15, what=f"{self.kind} began")

    def wait(self) -> None:
        """Have it wait behind another one of its kind."""
        BEGINNINGS[self.kind](self)

    def wait_until_asked(self) -> None:
        """Wait until whoever does it was asked to leave: it is in the middle of it then."""
        if self.kind != "idle":
            what = f"the process of the {self.kind} was asked to leave"
            eventually(lambda: self.pids("asked"), within=30, what=what)
            assert not self.pids("ended")

    def pids(self, what: str) -> list[str]:
        """Who began it, was asked to leave in it, or ended it."""
        words = (note.split() for note in self.yard.notes())
        return [pid for happened, name, pid in words if (happened, name) == (what, self.name)]

    def end(self) -> None:
        """Let it come to its end."""
        self.yard.let(self.name)

    def connect(self, request: bytes) -> None:
        """Send a request, and stay."""
        self.connection = Connection(self.yard.server.http, timeout=30)
        self.connection.send(request)

    def client(self) -> Client:
        """What the client saw; waits for it."""
        if self.connection is None:
            return Client.NOBODY
        with self.connection as connection:
            try:
                if self.kind == "idle":
                    return Client.CLOSED if connection.at_end() else Client.WHOLE
                response = connection.read_response()
            except (AssertionError, ConnectionResetError):  # closed in the middle
                return Client.CUT
        whole = {"request": repr(self.name), "streaming response": f"first, {self.name}"}
        return Client.WHOLE if response.text == whole[self.kind] else Client.CUT

    def fate(self) -> Fate:
        """What became of it, now that nobody of the old generation lives."""
        began, ended = self.pids("began"), self.pids("ended")
        match len(began), len(ended):
            case (0, 0) if self.kind == "idle":
                return Fate.NONE
            case (1, 1) if began == ended:
                return Fate.FINISHED
            case (2, 1) if began[0] != began[1] == ended[0]:
                return Fate.AGAIN
            case (0 | 1, 0) if self.lies_in_spool():
                return Fate.KEPT
            case (1, 0):
                return Fate.LOST
            case (0, 0):
                return Fate.UNSEEN
        raise AssertionError(f"began {began}, ended {ended}: no fate has a name for that")

    def lies_in_spool(self) -> bool:
        """Is it a task whose file is there?"""
        files = (self.yard.folder / "spool").glob("uwsgi_spoolfile*")
        return any(self.name.encode() in path.read_bytes() for path in files if path.is_file())


def begin_idle(flight: Flight) -> None:
    """Be a client that has had an answer and keeps the connection."""
    flight.connect(http_request("GET", "/"))
    assert flight.connection is not None
    assert flight.connection.read_response().status == 200


def begin_signal(flight: Flight) -> None:
    """Raise the signal; its handler learns the name from a file."""
    flight.yard.ask(f"arm('signal', {flight.name!r})")
    flight.yard.ask("uwsgi.signal(17)")


BEGINNINGS: dict[str, Callable[[Flight], object]] = {
    "idle": begin_idle,
    "request": lambda f: f.connect(http_request("POST", "/", body=f"work({f.name!r})".encode())),
    "streaming response": lambda f: f.connect(http_request("GET", f"/{f.name}")),
    "spooled task": lambda f: f.yard.ask(f"task.spool(name={f.name!r}) and None"),
    "mule message": lambda f: f.yard.ask(f"message({f.name!r})"),
    "signal handler": begin_signal,
    "timer": lambda f: f.yard.ask(f"arm('timer', {f.name!r})"),
}


# -- the run of a cell ---------------------------------------------------------------------------


@dataclass
class Ending:
    """A stop or a reload of a server, from the asking to the proof."""

    yard: Playground
    way: str
    after: int = 0
    before: frozenset[int] = frozenset()

    def ask(self) -> None:
        """Ask for it."""
        server = self.yard.server
        self.after = server.log.here()
        self.before = frozenset(one.pid for one in server.children())
        ask(self.yard, self.way)

    def see_through(self) -> None:
        """Wait for its end, and prove that nothing is left."""
        if WAYS[self.way] is Ends.STOP:
            assert self.yard.server.wait(within=30) == 0
            self.yard.server.wait_until_empty()
            assert self.yard.server.left_behind() == []
        else:
            self.yard.server.wait_for("chain reload done", after=self.after, within=30)
            eventually(self.all_are_new, within=15, what="every child is new")
            assert self.serves_anew()

    def serves_anew(self) -> bool:
        """Does a new child answer?"""
        return self.yard.ask("os.getpid()") not in self.before

    def all_are_new(self) -> bool:
        """As many children as there should be, and none of the old ones."""
        server = self.yard.server
        return not self.before & {one.pid for one in server.children()} and all(
            len(server.pids(role)) == count for role, count in CHILDREN.items()
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", grid.IN_FLIGHT)
def test_what_is_in_flight_is_finished(
    yard_for: Callable[..., Playground], way: str, work: str
) -> None:
    """Work that ends within its mercy ends, whatever comes and however it is asked for."""
    yard = yard_for(way)
    flight, ending = Flight(yard, work), Ending(yard, way)
    flight.begin()
    ending.ask()
    flight.wait_until_asked()
    if WAYS[way] is Ends.RELOAD:
        eventually(ending.serves_anew, within=30, what="the new code serves meanwhile")
    flight.end()
    seen = flight.client()
    ending.see_through()
    assert Outcome(seen, flight.fate()) == grid.IN_FLIGHT[work][WAYS[way]]


@pytest.mark.parametrize("way", grid.ONE_EACH)
@pytest.mark.parametrize("work", grid.OVER_MERCY)
def test_what_does_not_end_is_ended(
    yard_for: Callable[..., Playground], way: str, work: str
) -> None:
    """After its mercy; a task alone is run again, since it is a file."""
    yard = yard_for(way, SHORT)
    flight, ending = Flight(yard, work), Ending(yard, way)
    flight.begin()
    ending.ask()
    if grid.OVER_MERCY[work][WAYS[way]].work is Fate.AGAIN:
        eventually(lambda: len(flight.pids("began")) == 2, within=30, what="it was run again")
        flight.end()
        eventually(lambda: flight.pids("ended"), within=15)
    seen = flight.client()
    ending.see_through()
    assert Outcome(seen, flight.fate()) == grid.OVER_MERCY[work][WAYS[way]]
    flight.end()


@pytest.mark.parametrize("way", grid.ONE_EACH)
@pytest.mark.parametrize("work", grid.WAITING)
def test_what_waits_is_the_successors(
    yard_for: Callable[..., Playground], way: str, work: str
) -> None:
    """Nobody of the old generation begins anything more; a reload loses nothing that waits."""
    yard = yard_for(way)
    running, waiting, ending = Flight(yard, work), Flight(yard, work), Ending(yard, way)
    running.begin()
    waiting.wait()
    waiting.end()
    ending.ask()
    running.wait_until_asked()
    running.end()
    ending.see_through()
    expected = grid.WAITING[work][WAYS[way]]
    if expected.work is Fate.BY_NEW:
        eventually(lambda: waiting.pids("ended"), within=15, what="a new child did it")
        assert not {int(pid) for pid in waiting.pids("began")} & ending.before
    else:
        assert waiting.fate() is expected.work
    assert running.fate() is Fate.FINISHED


@pytest.mark.parametrize("work", grid.SECOND_STOP)
def test_a_second_stop_ends_it_at_once(yard_for: Callable[..., Playground], work: str) -> None:
    """Whoever asks twice does not want to wait."""
    yard = yard_for("SIGTERM")
    flight, ending = Flight(yard, work), Ending(yard, "SIGTERM")
    flight.begin()
    ending.ask()
    flight.wait_until_asked()
    ask(yard, "SIGTERM")
    seen = flight.client()
    ending.see_through()
    assert Outcome(seen, flight.fate()) == grid.SECOND_STOP[work]


def test_reloads_leave_nothing_in_the_master(lasting: Playground) -> None:
    """Not one descriptor more after three of them."""
    before = descriptors(lasting.server.pid)
    for _ in range(3):
        ending = Ending(lasting, "SIGHUP")
        ending.ask()
        ending.see_through()
    what = f"{before} descriptors, as before"
    eventually(lambda: descriptors(lasting.server.pid) == before, what=what)

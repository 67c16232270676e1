"""What every benchmark needs: numbers, a table, a way to start a program and to stop all of it.

It measures nothing itself. The upper half is pure; the lower half owns processes, each in a
process group of its own, so that an end takes its children along.

Runs in: the benchmark's process.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import selectors
import shutil
import signal as unix_signals
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
APPS = ROOT / "benchmarks" / "apps"
TICK_S = 0.02
"""How long to wait between two looks at a server that is starting or ending."""


class Missing(Exception):
    """A program the benchmark needs is not here; the message ends with what to do."""


class Trouble(Exception):
    """A program did not start, did not answer or did not say what it measured."""


# -- numbers and words -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the greatest of some values."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of at least one value; raises ValueError on none."""
        ordered = sorted(values)
        if not ordered:
            raise ValueError("no values: nothing was measured")
        return cls(ordered[0], statistics.median(ordered), ordered[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Value by base, round by round: neighbours in time, so that the machine's mood cancels out.

    A round in which the base did nothing has no ratio and is left out.
    """
    return [value / under for value, under in zip(values, base, strict=True) if under > 0]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, all others to the right."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def thousands(number: float) -> str:
    """A number as a person reads it: 1234567.8 is 1,234,568 and 3.14159 is 3.14."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def duration(seconds: float) -> str:
    """A time as a person reads it: 0.00000107 is 1.07 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def megabytes(number: float) -> str:
    """A size as a person reads it."""
    return f"{number:.0f} MB"


def chosen(names: Iterable[str], wanted: str | None, *, between: str = ",") -> list[str]:
    """The names that a comma-separated choice asks for, in their own order; all without one."""
    known = list(names)
    asked = [word.strip() for word in wanted.split(between)] if wanted else known
    if unknown := [word for word in asked if word not in known]:
        raise Missing(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [name for name in known if name in asked]


# -- programs --------------------------------------------------------------------------------------


def find_program(name: str, *, install: str) -> str:
    """The path of a program, beside this Python or on the PATH; raises Missing with the way out."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise Missing(f"{name} is not installed: {install}")
    return found


def find_uwsgi() -> str:
    """Real uWSGI: what MULETEER_UWSGI names, or the one that `make reference` built."""
    path = Path(os.environ.get("MULETEER_UWSGI") or ROOT / ".venv-reference/bin/uwsgi")
    if not path.exists():
        raise Missing(f"no uWSGI at {path}: `make reference` builds it, or name it: MULETEER_UWSGI")
    return str(path)


def free_port() -> int:
    """A port of loopback that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def get(port: int, path: str = "/", *, timeout: float = 2.0) -> tuple[int, bytes]:
    """Status and body of one GET; raises OSError where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_serving(port: int) -> bool:
    """Does it answer a GET with 200?"""
    try:
        return get(port)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def accepts(port: int) -> bool:
    """Does anybody listen there?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2.0).close()
    except OSError:
        return False
    return True


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and all that descend from it have used so far.

    What has ended since the last call is missing; a server that keeps its workers loses nothing.
    """
    return sum(map(_run_time, family(pid)))


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {int(name): _parent(name) for name in os.listdir("/proc") if name.isdigit()}
    tree, fresh = {pid}, {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - tree
        tree |= fresh
    return tree


def memory_mb(pid: int, kind: str) -> float:
    """A process's memory: what it shares with nobody ("Private_"), or its part of all ("Pss:")."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # it ended between two looks
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def _parent(pid: str) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0  # it ended between two looks
    return int(stat.rpartition(")")[2].split()[1])


def _run_time(pid: int) -> float:
    """Seconds on a processor, of all threads: schedstat counts nanoseconds, stat only ticks."""
    total = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    except OSError:
        pass  # it ended between two looks
    return total / 1e9


def waiting_clients(port: int, clients: int, path: str = "/", *, patience: float = 0.5) -> int:
    """How many of so many clients that keep their connection get no answer while all are there."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(clients):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(request)
            selector.register(client, selectors.EVENT_READ)
        deadline = time.monotonic() + patience
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                selector.unregister(key.fileobj)
                deadline = time.monotonic() + patience
        return len(selector.get_map())


def allow_many_files() -> None:
    """Let this process and what it starts have as many descriptors as the system allows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def slow_clients(port: int, count: int) -> Iterator[None]:
    """So many clients who have sent the first half of a request and keep the server waiting.

    There are fewer where the server takes none of them and its queue is full.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            try:
                client = socket.create_connection(("127.0.0.1", port), timeout=0.5)
            except TimeoutError:
                break
            stack.enter_context(client)
            client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        yield


class Program:
    """One started program and all its children; `with` ends them."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: int = unix_signals.SIGTERM,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = folder / f"{name.replace(' ', '-').replace('/', '-')}.log"
        self._folder = folder
        self._env = dict(os.environ) | dict(env or {})
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, is_ready: Callable[[], bool], *, within: float = 20.0, tick_s: float = TICK_S
    ) -> Program:
        """Start it and ask until it is ready; raises Trouble with its last words."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        deadline = time.monotonic() + within
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Trouble(f"{self.name} did not start: {self.last_words()}")
            time.sleep(tick_s)
        return self

    def cpu_seconds(self) -> float:
        """Processor time that it and its children have used so far."""
        return cpu_seconds(self._process.pid) if self._process else 0.0

    def largest_private_mb(self) -> float:
        """Memory of the process among them that has the most of its own."""
        return max(self._memory_mb("Private_"))

    def memory_mb(self) -> float:
        """Memory of it and its children; what they share counts once."""
        return sum(self._memory_mb("Pss:"))

    def _memory_mb(self, kind: str) -> list[float]:
        assert self._process is not None
        return [memory_mb(pid, kind) for pid in family(self._process.pid)]

    def send(self, number: int) -> None:
        """Send it a Unix signal, but not its children."""
        assert self._process is not None
        self._process.send_signal(number)

    def last_words(self) -> str:
        """The end of its log, on one line."""
        lines = self.log.read_text(errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-3:]) or "it said nothing"

    def stop(self, *, patience: float = 5.0) -> None:
        """End it and its group: asked first, killed when it takes too long."""
        if self._process is None:
            return
        for number in (self._stop_signal, unix_signals.SIGKILL):
            self._signal_group(number)
            try:
                self._process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        self._signal_group(unix_signals.SIGKILL)  # children that outlived their master
        self._process = None

    def _signal_group(self, number: int) -> None:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # the whole group has gone

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

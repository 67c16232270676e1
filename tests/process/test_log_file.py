"""Promises about the log as a file: nothing is lost when it is moved away under load."""

from __future__ import annotations

import os
import re
import signal as unix_signals
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 2
threads = 2
mules = 1
logto = app.log
log-format = REQUEST %(uri)
master-fifo = fifo
"""

APP = """
import sys
import uwsgi
from uwsgidecorators import mulefunc, timer

@mulefunc
def speak(words):
    print("MULE", words, flush=True)

def application(environ, start_response):
    speak(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


def _read(path: Path) -> str:
    """A file's text; nothing of one that was moved away in this moment, or is none."""
    try:
        return path.read_text()
    except (FileNotFoundError, IsADirectoryError):
        return ""


class Logged(Server):
    """A server whose words are in its log file."""

    @property
    def path(self) -> Path:
        return self.folder / "app.log"

    def text(self) -> str:
        return "".join(_read(path) for path in self.folder.glob("app.log*"))

    def numbers(self, word: str) -> list[int]:
        """The numbers of the lines that begin with that word."""
        return [int(number) for number in re.findall(rf"^{word} /(\d+)$", self.text(), re.M)]

    def wait_until_ready(self, *, within: float = 20.0) -> None:
        eventually(lambda: "ready: gen" in _read(self.path), within=within)

    def is_followed_by_all(self) -> bool:
        """Is what every process says, in the file of that name?"""
        try:
            return all(
                os.readlink(f"/proc/{process.pid}/fd/{fd}") == str(self.path)
                for process in self.processes()
                for fd in (1, 2)
            )
        except FileNotFoundError:  # a process has just ended
            return False

    @property
    def address(self) -> tuple[str, int]:
        found = re.search(r"listening on http (\S+):(\d+)", self.text())
        assert found is not None
        return found[1], int(found[2])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Logged]:
    started = Logged(tmp_path, ini=INI, files={"app.py": APP})
    started.start()
    yield started
    started.close()


@contextmanager
def requests_going_on(server: Logged) -> Iterator[list[int]]:
    """Clients that ask for /1, /2, … one after the other; the list has what was answered."""
    answered: list[int] = []
    stop = threading.Event()
    numbers = iter(range(1, 1 << 30))
    lock = threading.Lock()
    address = server.address  # the log that tells it is about to be moved away

    def ask() -> None:
        with Client(address) as client:
            while not stop.is_set():
                with lock:
                    number = next(numbers)
                assert client.request("GET", f"/{number}").status == 200
                answered.append(number)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


def write(server: Server, letters: str) -> None:
    """Write into the fifo, as a shell's echo would."""
    fd = os.open(server.folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, letters.encode())
    os.close(fd)


def by_fifo(server: Logged, _number: int) -> None:
    write(server, "l\n")


def by_signal(server: Logged, _number: int) -> None:
    server.send(unix_signals.SIGUSR1)


@pytest.mark.parametrize("reopen", [by_fifo, by_signal])
def test_no_line_is_lost_while_the_log_is_moved_away(
    server: Logged, reopen: Callable[[Logged, int], None]
) -> None:
    """Five times under load, in every process: each request has its line, each message its own."""
    with requests_going_on(server) as answered:
        for number in range(1, 6):
            server.path.rename(server.folder / f"app.log.{number}")
            reopen(server, number)
            eventually(server.is_followed_by_all, within=20)
            so_far = len(answered)
            eventually(lambda n=so_far: len(answered) > n + 20, within=20)
    wanted = set(answered)
    for word in ("MULE", "REQUEST"):
        eventually(lambda word=word: wanted <= set(server.numbers(word)))
    lines = server.numbers("REQUEST")
    assert len(lines) == len(set(lines))
    newest = server.path.read_text()
    assert "REQUEST /" in newest
    assert "MULE /" in newest


def test_who_is_forked_meanwhile_writes_to_the_new_file(server: Logged) -> None:
    """Zygotes and their children are told too, and those respawned afterwards begin there."""
    server.path.rename(server.folder / "app.log.1")
    write(server, "l")
    eventually(lambda: server.path.exists() and "opened anew" in server.path.read_text())
    for pid in server.pids("worker"):
        os.kill(pid, unix_signals.SIGKILL)
    eventually(lambda: server.path.read_text().count("respawned worker") == 2, within=15)
    with Client(server.address) as client:
        client.request("GET", "/after")
    eventually(lambda: "REQUEST /after" in server.path.read_text())
    eventually(server.is_followed_by_all)


def test_the_log_is_put_aside_and_begun_anew(server: Logged) -> None:
    """The fifo's L; the old one is named with the time."""
    write(server, "L")
    (old,) = eventually(lambda: list(server.folder.glob("app.log.*")))
    assert re.fullmatch(r"app\.log\.\d{10}", old.name)
    eventually(lambda: str(old) in _read(server.path))


def test_a_log_that_cannot_be_opened_anew_stays(server: Logged) -> None:
    """All go on in the old file, and it says why."""
    server.path.rename(server.folder / "app.log.1")
    server.path.mkdir()
    write(server, "l")
    old = server.folder / "app.log.1"
    eventually(lambda: "the old file is written on" in old.read_text())
    with Client(server.address) as client:
        client.request("GET", "/still")
    eventually(lambda: "REQUEST /still" in old.read_text())


@pytest.mark.parametrize("option", ["touch-logreopen", "touch-logrotate"])
def test_a_touched_file_has_the_log_opened_anew(tmp_path: Path, option: str) -> None:
    """Also one that is not there yet."""
    server = Logged(tmp_path, ini=f"{INI}{option} = bell\n", files={"app.py": APP})
    server.start()
    try:
        eventually(lambda: "watching 1 path" in server.text(), within=15)
        (server.folder / "bell").touch()
        eventually(lambda: f"opened anew ({option}" in server.text(), within=15)
        aside = list(server.folder.glob("app.log.*"))
        assert len(aside) == int(option == "touch-logrotate")
    finally:
        server.close()


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    """`log-maxsize`, under the name that `log-backupname` gives."""
    ini = f"{INI}log-maxsize = 20000\nlog-backupname = old.log\n"
    server = Logged(tmp_path, ini=ini, files={"app.py": APP})
    server.start()
    try:
        with Client(server.address) as client:
            for number in range(100):
                client.request("GET", f"/{number}{'x' * 300}")
        eventually(lambda: (server.folder / "old.log").exists(), within=10)
        eventually(lambda: server.path.exists() and "log-maxsize" in server.path.read_text())
    finally:
        server.close()


def test_without_a_file_sigusr1_shows_the_server(start_server: StartServer) -> None:
    """As in uWSGI the log has what was done; and nobody dies of it."""
    server = start_server(ini=INI.replace("logto = app.log\n", ""), files={"app.py": APP})
    server.get("/")
    server.wait_for("REQUEST /")
    server.send(unix_signals.SIGUSR1)
    server.wait_for(r"status: 1 request: 1 with 2xx")
    assert server.get("/").status == 200


def test_logto2_takes_over_when_all_is_prepared(tmp_path: Path) -> None:
    """The sockets are still told on stderr; from the first generation on the file has it all."""
    ini = INI.replace("logto =", "logto2 =")
    server = Logged(tmp_path, ini=ini, files={"app.py": APP})
    server.start()
    try:
        server.wait_for("listening on http")
        assert "ready: generation 1" not in server.log
        assert "listening on" not in server.path.read_text()
        assert "ready: generation 1" in server.path.read_text()
    finally:
        server.close()

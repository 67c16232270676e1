"""Promises about what reaches a server from outside: the fifo, systemd, the shell's background."""

from __future__ import annotations

import os
import signal as unix_signals
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.harness import Server, apps, eventually
from tests.harness.processes import is_there
from tests.harness.server import INI as INI_FILE

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
master-fifo = fifo
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(ini=f"{INI}pidfile2 = pid\n", files={"app.py": apps.PID})


def write(server: Server, letters: str, name: str = "fifo") -> None:
    """Write into the fifo, as a shell's echo would."""
    fd = os.open(server.folder / name, os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, letters.encode())
    os.close(fd)


# -- the fifo -----------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["r", "c", "w", "R", "W"])
def test_a_letter_reloads(server: Server, letter: str) -> None:
    """Every kind of reload is the one there is: nobody is cut off."""
    before = server.get("/").text
    write(server, letter)
    server.wait_for("chain reload done")
    assert server.get("/").text != before


def test_letters_stop(server: Server) -> None:
    """`q`: what runs is finished first; the fifo goes with the server."""
    write(server, "q\n")
    assert server.wait() == 0
    assert "stopping (the fifo)" in server.log
    assert not (server.folder / "fifo").exists()


def test_a_letter_stops_at_once(start_server: StartServer) -> None:
    """`Q` waits for nobody."""
    app = apps.PID.replace("import os\n", "import os, time\n").replace(
        "    body =", "    print('begun', flush=True)\n    time.sleep(3600)\n    body ="
    )
    server = start_server(ini=INI, files={"app.py": app})
    with socket.create_connection(server.http) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for("begun")
        write(server, "Q")
        assert server.wait() == 0


def test_a_letter_shows_the_server(server: Server) -> None:
    """`s` logs what it is about, who does what and what was done."""
    server.get("/")
    server.wait_for("GET / ")
    write(server, "s")
    server.wait_for(rf"status: pid {server.pid}, running, generation 1, since ")
    server.wait_for("status: 1 worker, 0 busy; 0 respawned, 0 killed at a deadline")
    server.wait_for("status: 1 request: 1 with 2xx")


def test_a_letter_writes_the_pidfiles_again(server: Server) -> None:
    """`P`, after somebody removed them."""
    path = server.folder / "pid"
    assert path.read_text() == f"{server.pid}\n"
    path.unlink()
    write(server, "P")
    eventually(lambda: path.exists() and path.read_text() == f"{server.pid}\n")
    server.stop()
    assert not path.exists()


def test_letters_that_make_no_sense_say_what_to_do(server: Server) -> None:
    """uWSGI's other letters, and those that are nobody's; the next one counts all the same."""
    write(server, "p+EZ\ns")
    server.wait_for("the fifo's 'p' does nothing: there is no pause")
    server.wait_for(r"the fifo's '\+' does nothing: workers come by themselves")
    server.wait_for("the fifo's 'E' does nothing: there is no emperor")
    server.wait_for("the fifo's 'Z' does nothing: it is none of uWSGI's letters")
    server.wait_for("status: pid")


def test_a_digit_chooses_another_fifo(start_server: StartServer) -> None:
    """The first one is heard at the start; `1` gives the word to the second."""
    server = start_server(ini=f"{INI}master-fifo = second\n", files={"app.py": apps.PID})
    write(server, "1")
    eventually(lambda: _is_heard(server.folder / "second"))
    write(server, "s", "second")
    server.wait_for("status: pid")
    assert not _is_heard(server.folder / "fifo")


def _is_heard(path: Path) -> bool:
    """Does anybody have it open for reading?"""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_the_fifo_is_its_owners_and_survives_its_writers(server: Server) -> None:
    """Nobody else may write; a writer that leaves and one that comes back are both heard."""
    assert stat.S_IMODE((server.folder / "fifo").stat().st_mode) == 0o600
    for times in (1, 2, 3):
        write(server, "s")
        server.wait_for("status: pid", times=times)


def test_no_child_holds_the_fifo(server: Server) -> None:
    """Only the master reads it: no letter goes astray."""
    for process in server.children():
        fds = Path(f"/proc/{process.pid}/fd")
        assert str(server.folder / "fifo") not in [os.readlink(fd) for fd in fds.iterdir()]


def test_a_file_in_the_fifos_place_is_not_touched(tmp_path: Path) -> None:
    """The start ends and says so."""
    failing = Server(tmp_path, ini=INI, files={"app.py": apps.PID, "fifo": "precious"})
    try:
        assert failing.run() != 0
        assert "a file that is no fifo is there; move it away" in failing.log
        assert (tmp_path / "fifo").read_text() == "precious"
    finally:
        failing.close()


# -- systemd ------------------------------------------------------------------------------


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(15)
        yield sock


def hear(supervisor: socket.socket, wanted: str) -> dict[str, str]:
    """The fields of the next message that has the wanted one."""
    while True:
        lines = supervisor.recv(4096).decode().splitlines()
        fields = dict(line.split("=", 1) for line in lines)
        if wanted in fields:
            return fields


def test_systemd_is_told(
    start_server: StartServer, supervisor: socket.socket, tmp_path: Path
) -> None:
    """Ready when it serves, reloading and ready again, also when that failed; stopping."""
    server = start_server(
        ini=INI, files={"app.py": apps.PID}, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}
    )
    ready = hear(supervisor, "READY")
    assert (ready["READY"], ready["MAINPID"]) == ("1", str(server.pid))
    assert "generation 1" in ready["STATUS"]
    server.send(unix_signals.SIGHUP)
    assert hear(supervisor, "RELOADING")["MONOTONIC_USEC"].isdigit()
    assert "generation 2" in hear(supervisor, "READY")["STATUS"]
    (server.folder / "app.py").write_text("import nothing_of_that_name\n")
    server.send(unix_signals.SIGHUP)
    hear(supervisor, "RELOADING")
    assert "1 failed" in hear(supervisor, "READY")["STATUS"]
    server.send(unix_signals.SIGTERM)
    assert hear(supervisor, "STOPPING")["STOPPING"] == "1"
    assert server.wait() == 0


def test_the_watchdog_is_fed_while_nothing_happens(
    start_server: StartServer, supervisor: socket.socket, tmp_path: Path
) -> None:
    """Twice within its time, as long as the master's loop turns."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    start_server(ini=INI, files={"app.py": apps.PID}, env=env)
    supervisor.settimeout(5)
    for _ in range(4):
        hear(supervisor, "WATCHDOG")


def test_a_stopped_master_starves_the_watchdog(
    start_server: StartServer, supervisor: socket.socket, tmp_path: Path
) -> None:
    """The sign of life is the loop's, and no thread's: a master that hangs is found out."""
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    server = start_server(ini=INI, files={"app.py": apps.PID}, env=env)
    hear(supervisor, "WATCHDOG")
    server.send(unix_signals.SIGSTOP)
    try:
        supervisor.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(100):
                hear(supervisor, "WATCHDOG")
    finally:
        server.send(unix_signals.SIGCONT)
    hear(supervisor, "WATCHDOG")


def test_a_supervisor_that_does_not_listen_changes_nothing(start_server: StartServer) -> None:
    """No socket, or one nobody reads: the server serves."""
    server = start_server(
        ini=INI, files={"app.py": apps.PID}, env={"NOTIFY_SOCKET": "/nowhere/at/all"}
    )
    assert server.get("/").text.isdigit()


# -- the background -----------------------------------------------------------------------


class Background(Server):
    """A server whose command returns; the log is a file."""

    def run_command(self) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command, cwd=self.folder, env=self._environ(), capture_output=True, timeout=30,
            check=False,
        )  # fmt: skip

    def master(self) -> int:
        return int((self.folder / "pid").read_text())

    def log_text(self) -> str:
        return (self.folder / "app.log").read_text()


def background(folder: Path, option: str, app: str, more: str = "") -> Background:
    ini = f"[uwsgi]\n{INI}pidfile = pid\n{option} = app.log\n{more}"
    return Background(folder, ini=ini, files={"app.py": app})


@pytest.mark.parametrize("option", ["daemonize", "daemonize2"])
def test_a_server_in_the_background(tmp_path: Path, option: str) -> None:
    """The command returns with 0; the server has no terminal, serves, and leaves nothing."""
    server = background(tmp_path, option, apps.PID)
    done = server.run_command()
    master = server.master()
    try:
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        if option == "daemonize2":
            assert "ready: generation 1" in server.log_text()
        eventually(lambda: "ready: generation 1" in server.log_text())
        assert os.getsid(master) not in (master, os.getsid(0))
        assert os.readlink(f"/proc/{master}/fd/0") == "/dev/null"
        assert all(
            os.readlink(f"/proc/{master}/fd/{fd}") == str(tmp_path / "app.log") for fd in (1, 2)
        )
    finally:
        os.kill(master, unix_signals.SIGTERM)
        eventually(lambda: not is_there(master), within=15)
    assert "goodbye" in server.log_text()
    assert not (tmp_path / "pid").exists()
    assert not (tmp_path / "fifo").exists()


@pytest.mark.parametrize("option", ["daemonize", "daemonize2"])
def test_a_start_that_fails_is_the_commands_exit_code(tmp_path: Path, option: str) -> None:
    """An address in use, at least; with `daemonize2` also an application that does not load."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        more = f"socket = 127.0.0.1:{taken.getsockname()[1]}\n"
        server = background(tmp_path, option, apps.PID, more)
        done = server.run_command()
    assert done.returncode != 0
    assert done.stderr.decode() == (
        f"muleteer: the server did not start; {tmp_path / 'app.log'} says why\n"
    )
    assert "cannot listen on" in server.log_text()
    assert not (tmp_path / "pid").exists()


def test_the_background_hears_of_an_application_that_does_not_load(tmp_path: Path) -> None:
    """`daemonize2` waits for it: exit code 22."""
    server = background(tmp_path, "daemonize2", "import nothing_of_that_name\n")
    assert server.run_command().returncode == 22
    assert "nothing_of_that_name" in server.log_text()
    assert not (tmp_path / "pid").exists()


def test_an_error_in_the_configuration_is_told_in_the_terminal(tmp_path: Path) -> None:
    """Nothing went to the background yet."""
    server = background(tmp_path, "daemonize", apps.PID, "processes = four\n")
    done = server.run_command()
    assert done.returncode != 0
    assert INI_FILE.encode() in done.stderr
    assert not (tmp_path / "app.log").exists()

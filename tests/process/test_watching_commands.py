"""Promises about `muleteer status`, `muleteer top` and `muleteer cron ls` on a real server."""

from __future__ import annotations

import json
import socket
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server, eventually
from tests.harness.server import INI as INI_FILE
from tests.harness.terminal import Terminal

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 2
mules = 1
spooler = spool
cron = 5 5 -1 -1 -1 echo cleaning
stats = stats.sock
"""

APP = """
import os, time
from uwsgidecorators import cron, timer

@cron(40, 2, -1, -1, -1)
def nightly(number):
    pass

@timer(1)
def often(number):
    pass

def application(environ, start_response):
    while environ["PATH_INFO"] == "/held" and os.path.exists("hold"):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server(ini=INI, files={"app.py": APP, "spool/": ""})


def run(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*Server.find_command(), *words]
    return subprocess.run(
        command, cwd=server.folder, capture_output=True, text=True, timeout=30, check=False
    )


def test_status_says_who_does_what(server: Server) -> None:
    """A summary and a table of each kind, read from the ini file's stats or from an address."""
    server.get("/")
    server.wait_for("GET / ")
    for where in (INI_FILE, "stats.sock", str(server.folder / "stats.sock")):
        done = run(server, "status", where)
        assert done.returncode == 0, done.stderr
        assert f"pid {server.pid}, running, generation 1" in done.stdout
        assert "2 workers, 0 busy" in done.stdout
        assert "1 request: 1 with 2xx" in done.stdout
        for pid in (*server.pids("worker"), *server.pids("mule"), *server.pids("spooler")):
            assert f" {pid} " in done.stdout
        assert "40 2 -1 -1 -1" in done.stdout
        assert "app.nightly (signal " in done.stdout
        assert "\033" not in done.stdout  # nobody asked for colours in a pipe


def test_status_can_be_read_by_programs(server: Server) -> None:
    """`--json` has all of it."""
    found = json.loads(run(server, "status", "--json", INI_FILE).stdout)
    assert found["pid"] == server.pid
    assert len(found["workers"]) == 2
    assert found["muleteer"]["generation"] == 1


def test_status_speaks_http_where_the_server_does(start_server: StartServer) -> None:
    """Nobody has to say which of both it is."""
    ini = INI.replace("stats.sock", "127.0.0.1:0") + "stats-http = true\n"
    server = start_server(ini=ini, files={"app.py": APP, "spool/": ""})
    host, port = server.addresses("stats")[0]
    for where in (f"{host}:{port}", f"http://{host}:{port}/"):
        done = run(server, "status", where)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"pid {server.pid}," in done.stdout


def test_cron_ls_lists_jobs_and_commands(server: Server) -> None:
    """With their next and last runs; timers when asked for."""
    done = run(server, "cron", "ls", INI_FILE)
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["CLOCK", "WHEN", "NEXT", "RUN", "LAST", "RUN", "WHAT"]
    assert {row.split()[0] for row in rows} == {"cron", "command"}
    assert any("echo cleaning" in row for row in rows)
    eventually(lambda: " ago) " in run(server, "cron", "ls", "--timers", INI_FILE).stdout)
    found = [json.loads(line) for line in _json_lines(server)]
    assert {entry.get("command", entry.get("when")) for entry in found} == {
        "echo cleaning",
        "40 2 -1 -1 -1",
    }
    assert all(entry["next"] > 0 for entry in found)


def _json_lines(server: Server) -> list[str]:
    return run(server, "cron", "ls", "--json", INI_FILE).stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("status", "nowhere.sock"), 1, "nobody answers on nowhere.sock"),
        (("top", "127.0.0.1:1"), 1, "nobody answers on 127.0.0.1:1"),
        (("status",), 3, "the following arguments are required: WHERE"),
        (("cron", "rm", "x"), 3, "see `muleteer cron --help`"),
        (("top", "--every", "0", "stats.sock"), 3, "--every takes 0.1 to 3600 seconds"),
        (("status", "other.ini"), 3, "has no `stats = ADDRESS`"),
    ],
)
def test_what_cannot_be_answered_says_why(
    server: Server, words: tuple[str, ...], code: int, told: str
) -> None:
    """One line on stderr, with the way out, and an exit code that tells them apart."""
    server.write({"other.ini": "[uwsgi]\nhttp-socket = :0\nmodule = app\n"})
    done = run(server, *words)
    assert done.returncode == code
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_what_answers_may_be_no_muleteer(server: Server) -> None:
    """The address of the site itself, say."""
    host, port = server.http
    done = run(server, "status", f"{host}:{port}")
    assert done.returncode == 1
    assert "is no muleteer's stats" in done.stderr


# -- top ----------------------------------------------------------------------------------


def top(server: Server, *words: str, rows: int = 40, columns: int = 200) -> Terminal:
    where = str(server.folder / "stats.sock")
    command = [*Server.find_command(), "top", *words, where]
    return Terminal(command, rows=rows, columns=columns)


def test_top_is_live(server: Server) -> None:
    """It shows everybody, follows what happens, and leaves the terminal as it was."""
    with top(server, "--every", "0.1") as terminal:
        terminal.wait_for(rf"pid {server.pid}, running, generation 1")
        for pid in (*server.pids("worker"), *server.pids("mule"), *server.pids("spooler")):
            terminal.wait_for(rf"\b{pid}\b")
        terminal.wait_for(r"every 1 s")
        terminal.wait_for(r"40 2 -1 -1 -1 +\d{4}-\d\d-\d\d 02:40:00 \(in ")
        (server.folder / "hold").touch()
        with socket.create_connection(server.http) as client:
            client.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            terminal.wait_for(r"2 workers, 1 busy")
            terminal.wait_for(r"a request for 0\.[1-9] s")
            (server.folder / "hold").unlink()
        terminal.wait_for(r"1 request: 1 with 2xx")
        terminal.type("q")
        assert terminal.wait() == 0
        assert "\033[?1049h" in terminal.raw
        assert terminal.raw.endswith("\033[?25h\033[?1049l")


def test_top_fits_its_terminal(server: Server) -> None:
    """No line is broken and none scrolls away, however small it is."""
    with top(server, "--every", "0.1", rows=6, columns=30) as terminal:
        terminal.wait_for(r"pid \d+, running")
        terminal.wait_for(r"(?s)pid.*pid.*pid")  # three frames
        frames = terminal.raw.split("\033[H")[1:-1]
        terminal.type("q")
        terminal.wait()
    for frame in frames:
        lines = Terminal.plain(frame).split("\r\n")
        assert len(lines) <= 6
        assert max(map(len, lines)) <= 30


def test_top_waits_for_a_server_that_went_away(server: Server) -> None:
    """It says so and goes on asking; Ctrl-C leaves, too."""
    with top(server, "--every", "0.1") as terminal:
        terminal.wait_for(r"running, generation 1")
        server.stop()
        terminal.wait_for(r"nobody answers on .*stats\.sock")
        terminal.type("\x03")
        assert terminal.wait() == 0


def test_top_gives_the_terminal_back(server: Server, tmp_path: Path) -> None:
    """Keys are echoed again, also after Ctrl-C."""
    with top(server, "--every", "0.1") as terminal:
        before = terminal.attributes()
        terminal.wait_for(r"running, generation 1")
        during = terminal.attributes()
        terminal.type("\x03")
        terminal.wait()
        assert terminal.attributes() == before
        assert not during[3] & termios.ECHO


def test_top_in_a_pipe_shows_one_picture(server: Server) -> None:
    """And ends: `muleteer top … | head` is no trap."""
    done = run(server, "top", "stats.sock")
    assert done.returncode == 0
    assert done.stdout.count(f"pid {server.pid}, running") == 1
    assert "\033" not in done.stdout

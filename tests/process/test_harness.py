"""The harness can fail: each thing it looks for is left behind once, by a small fake command.

A check that never saw the fault it checks for proves nothing.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import (
    Client,
    Died,
    LeftBehind,
    Nginx,
    Reference,
    Server,
    TimedOut,
    apps,
    eventually,
    http_raw,
)
from tests.harness.clients import parse_head, uwsgi_packet
from tests.harness.processes import Process

GOOD = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
{extra}
print("listening on http 127.0.0.1:8123", flush=True)
print("ready: generation 1, 0 workers", flush=True)
signal.pause()
"""

SLEEPER = "import signal; print('child is up', flush=True); signal.pause()"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Server]:
    """A fake server whose `extra` lines a test writes; whatever lives at the end is killed."""
    command = [sys.executable, "-u", "fake.py"]
    server = Server(tmp_path, command=command, files={"fake.py": GOOD.format(extra="")})
    server.straggler_s = 0.2
    yield server
    try:
        server.close()
    except LeftBehind:
        pass  # the test asserted it; `close` has killed what was left


def _with(server: Server, extra: str) -> Server:
    server.write({"fake.py": GOOD.format(extra=extra)})
    return server


def test_a_clean_command_passes(fake: Server) -> None:
    """A command that leaves nothing is closed without a word, and its exit code is known."""
    fake.start()
    assert fake.http == ("127.0.0.1", 8123)
    assert fake.stop() == 0
    fake.close()


def test_a_leftover_child_is_named(fake: Server) -> None:
    """A child that outlives its parent in the same session is found and killed."""
    _with(fake, f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])").start()
    fake.wait_for("child is up")
    orphan = fake.children()[0]
    with pytest.raises(TimedOut, match="every process"):
        fake.stop(within=0.3)
    with pytest.raises(LeftBehind, match=rf"process {orphan.pid} "):
        fake.close()
    assert not orphan.is_alive()


@pytest.mark.parametrize("folder", ["None", "'/'"])
def test_a_child_in_a_session_of_its_own_is_named(fake: Server, folder: str) -> None:
    """Neither setsid nor a change of folder hides a child: it carries the tree's mark."""
    start = f"[sys.executable, '-c', {SLEEPER!r}], start_new_session=True, cwd={folder}"
    _with(fake, f"subprocess.Popen({start})").start()
    fake.wait_for("child is up")
    fake.kill()
    with pytest.raises(LeftBehind, match="process"):
        fake.close()


def test_a_child_without_the_mark_is_found_by_its_folder(fake: Server) -> None:
    """A child that lost its environment and its session still works in the tree's folder."""
    start = f"[sys.executable, '-c', {SLEEPER!r}], start_new_session=True, env={{}}"
    _with(fake, f"subprocess.Popen({start})").start()
    fake.wait_for("child is up")
    fake.kill()
    with pytest.raises(LeftBehind, match="process"):
        fake.close()


def test_a_leftover_socket_is_named(fake: Server) -> None:
    """A unix socket file in the folder after a graceful stop is a fault."""
    _with(fake, "import socket; socket.socket(socket.AF_UNIX).bind('left.sock')").start()
    fake.stop()
    with pytest.raises(LeftBehind, match=r"socket .*left\.sock"):
        fake.close()


def test_a_leftover_socket_is_forgiven_after_sigkill(fake: Server) -> None:
    """Nobody can remove a file after SIGKILL: there the promise is about processes only."""
    _with(fake, "import socket; socket.socket(socket.AF_UNIX).bind('left.sock')").start()
    fake.kill()
    fake.close()


def test_a_leftover_temporary_file_is_named(fake: Server) -> None:
    """What a command puts into its TMPDIR must be gone when it has ended."""
    _with(fake, "import tempfile; tempfile.mkstemp(prefix='left')").start()
    fake.stop()
    with pytest.raises(LeftBehind, match=r"temporary file .*left"):
        fake.close()


def test_a_leftover_shared_page_is_named(fake: Server) -> None:
    """A file under /dev/shm that the command had open must be gone when it has ended."""
    page = Path("/dev/shm") / f"harness-{uuid.uuid4().hex}"
    _with(fake, f"page = open({str(page)!r}, 'w')").start()
    fake.stop()
    try:
        with pytest.raises(LeftBehind, match=f"shared memory {page}"):
            fake.close()
    finally:
        page.unlink()


def test_a_command_that_ignores_the_stop_is_killed_and_named(fake: Server) -> None:
    """A command that does not end when asked is a fault, not an endless wait."""
    _with(fake, "signal.signal(signal.SIGTERM, signal.SIG_IGN)").start()
    with pytest.raises(TimedOut, match="still running"):
        fake.stop(within=0.2)
    fake.patience_s = 0.2
    with pytest.raises(LeftBehind, match=f"process {fake.pid} "):
        fake.close()


def test_a_wait_for_a_line_times_out_with_the_log(fake: Server) -> None:
    """A line that does not come fails the wait, and the failure shows what came instead."""
    fake.start()
    with pytest.raises(TimedOut, match=r"(?s)never said.*seen 0 of 1.*ready: generation 1"):
        fake.wait_for("never said", within=0.05)


def test_a_wait_can_ask_for_lines_to_come(fake: Server) -> None:
    """With `after`, a line that was there before does not count."""
    fake.start()
    fake.wait_for("ready")
    with pytest.raises(TimedOut):
        fake.wait_for("ready", within=0.05, after=fake.log.here())


def test_a_wait_ends_when_the_log_does(fake: Server) -> None:
    """Nothing more can come once the command has closed its log: the wait fails at once."""
    fake.start()
    fake.stop()
    began = time.monotonic()
    with pytest.raises(TimedOut, match="the log has ended"):
        fake.wait_for("never said", within=30)
    assert time.monotonic() - began < 10


def test_a_command_that_dies_before_ready_says_so(fake: Server) -> None:
    """A start that fails raises Died, with the exit code and the log."""
    _with(fake, "sys.exit('no such directory')")
    with pytest.raises(Died, match=r"(?s)exit code 1.*no such directory"):
        fake.start()


def test_a_start_that_should_fail_is_run_to_its_end(fake: Server) -> None:
    """`run` returns the exit code of a command that ends by itself."""
    _with(fake, "print('bad option'); sys.exit(3)")
    assert fake.run() == 3
    assert "bad option" in fake.log


def test_eventually_returns_what_it_waited_for() -> None:
    """A bell brings the next look at once, and the true answer comes back."""
    bell, answers = threading.Condition(), iter([0, 0, 7])
    assert eventually(lambda: next(answers), within=5, bell=bell) == 7


def test_eventually_fails_with_the_last_answer() -> None:
    """What never comes true fails in time and says what was seen."""
    with pytest.raises(TimedOut, match=r"not within 0\.02 s: the moon; the last answer was 0"):
        eventually(lambda: 0, within=0.02, what="the moon")


def test_eventually_fails_with_the_last_assertion() -> None:
    """An assertion that keeps failing is told, not lost."""

    def look() -> bool:
        raise AssertionError("two workers, not three")

    with pytest.raises(TimedOut, match="two workers, not three"):
        eventually(look, within=0.02)


def test_eventually_lets_other_errors_through() -> None:
    """A mistake in the test is no reason to wait."""

    def look() -> bool:
        raise KeyError("typo")

    with pytest.raises(KeyError):
        eventually(look, within=60)


@pytest.mark.parametrize(
    ("title", "role", "number"),
    [
        ("muleteer worker 3", "worker", 3),
        ("muleteer: spooler 1", "spooler", 1),
        ("muleteer master", "master", 0),
        ("site muleteer zygote", "zygote", 0),
        ("uWSGI worker 2", "worker", 2),
        ("uWSGI spooler", "spooler", 0),
        ("/venv/bin/python /venv/bin/muleteer worker.ini", None, 0),
        ("bash -c muleteer", None, 0),
    ],
)
def test_a_title_tells_the_role(title: str, role: str | None, number: int) -> None:
    """A role is read from a title that a server gave itself, never from a command line."""
    process = Process(1, 0, 1, title)
    assert (process.role, process.id) == (role, number)


def test_a_response_is_read_to_its_end_and_no_further() -> None:
    """Chunked bodies, interim answers and a pipelined second answer are told apart."""
    answer = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    )
    with _Canned(answer) as address, Client(address) as client:
        client.send(b"x")
        first, second = client.read_response(), client.read_response()
        assert (first.status, first.body) == (200, b"abcde")
        assert (second.status, second.reason, second.body) == (404, "Not Found", b"no")
        assert client.at_end()


def test_a_response_cut_short_is_an_error() -> None:
    """A server that closes in the middle of a body is caught, not taken for a short answer."""
    with (
        _Canned(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort") as address,
        Client(address) as client,
    ):
        client.send(b"x")
        with pytest.raises(AssertionError, match="closed after 5 of 9 bytes"):
            client.read_response()


def test_a_raw_exchange_returns_every_byte() -> None:
    """What the server says is returned as it is, malformed or not."""
    with _Canned(b"not http at all") as address:
        assert http_raw(address, b"x") == b"not http at all"


def test_a_uwsgi_packet_is_the_documented_one() -> None:
    """The header is modifier1, a little-endian size, modifier2; then counted pairs."""
    assert uwsgi_packet([(b"a", b"bc")], modifier1=17) == b"\x11\x07\x00\x00\x01\x00a\x02\x00bc"
    assert parse_head(b"HTTP/1.1 200 OK\r\nA: b").header("a") == "b"


def test_nginx_needs_no_port_and_says_when_nobody_is_behind_it(tmp_path: Path) -> None:
    """A private nginx starts on an inherited socket and answers 502 without an upstream."""
    with Nginx(tmp_path, str(tmp_path / "nobody.sock")) as nginx:
        assert nginx.get("/").status == 502


class _Canned:
    """A server on a free port that answers the first bytes it gets with what it was given."""

    def __init__(self, answer: bytes) -> None:

        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> tuple[str, int]:
        self._thread.start()
        host, port = self._listener.getsockname()
        return host, port

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(self._answer)


def test_a_missing_reference_names_the_command_that_builds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without real uWSGI the comparison fails with the way out; it is never skipped."""
    monkeypatch.setenv("MULETEER_UWSGI", "/nonexistent/uwsgi")
    with pytest.raises(AssertionError, match="run `make reference`"):
        Reference.find_binary()


def test_the_reference_answers_to_the_same_verbs(tmp_path: Path) -> None:
    """Real uWSGI is started, asked, listed and ended in the words that start ours."""
    ini = "master = true\nprocesses = 2\nsocket = a.sock\nhttp-socket = 127.0.0.1:0\nmodule = app"
    with Reference(tmp_path, ini=ini, files={"app.py": apps.HELLO}) as reference:
        assert reference.ask("/").text == reference.get("/").text == "hello"
        assert reference.uwsgi == str(tmp_path / "a.sock")
        eventually(lambda: [one.id for one in reference.children("worker")] == [1, 2])
        everyone = reference.processes()
    assert not any(one.is_alive() for one in everyone)

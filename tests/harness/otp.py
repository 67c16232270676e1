"""A real Erlang node and a real epmd, on a port of their own, driven line by line.

Runs in: the test process.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.tools import tool
from tests.harness.waiting import eventually

COOKIE = "a-cookie-for-tests"
PACKAGES = "erlang-base"

READ_EVAL_PRINT = r"""
    F = fun F() ->
        case io:get_line("") of
            eof -> halt(0, [{flush, false}]);
            L ->
                R = try
                    {ok, T, _} = erl_scan:string(L),
                    {ok, E} = erl_parse:parse_exprs(T),
                    {value, V, _} = erl_eval:exprs(E, []),
                    V
                catch
                    C:X -> {C, X}
                end,
                io:format("~0tp~n", [R]),
                F()
        end
    end,
    io:setopts([{encoding, unicode}]),
    io:format("ready~n"),
    F()."""


class Epmd:
    """A port mapper on a free port of loopback."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Epmd:
        """Run it, on the same port as before if there was one; a lost race for one is run again."""
        return eventually(lambda: self._try(self.port or _free_port()), within=10)

    def _try(self, port: int) -> Epmd | None:
        command = [tool("epmd", PACKAGES), "-address", "127.0.0.1", "-port", str(port)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: _answers(port) or process.poll() is not None)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.poll() is not None:  # somebody else had the port first
            return None
        self._process, self.port = process, port
        return self

    def stop(self) -> None:
        """End it; its nodes notice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Otp:
    """One node of OTP; `eval` gives it expressions and returns what it prints of the value."""

    def __init__(self, name: str, epmd: Epmd, home: Path, *options: str, cookie: str) -> None:
        self.name = name
        environment = os.environ | {"ERL_EPMD_PORT": str(epmd.port), "HOME": str(home)}
        command = [tool("erl", PACKAGES), "-noshell", "-start_epmd", "false", "-setcookie", cookie]
        command += ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", *options]
        command += ["-kernel", "logger_level", "emergency", "-name", name]
        self._process = subprocess.Popen(
            [*command, "-eval", " ".join(READ_EVAL_PRINT.split())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=home,
        )

    def start(self) -> None:
        """Wait until it takes expressions."""
        assert self._read() == "ready"

    def eval(self, *expressions: str) -> str:
        """The value of the last expression, as Erlang prints it, on one line."""
        assert self._process.stdin is not None
        line = " ".join(", ".join(expressions).split())
        self._process.stdin.write(f"{line}.\n".encode())
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """End it; a node that does not go is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        assert line, f"{self.name} ended"
        return line.rstrip("\n")


@contextmanager
def running(
    name: str, epmd: Epmd, home: Path, *options: str, cookie: str = COOKIE
) -> Iterator[Otp]:
    """A node of OTP, ended at the end."""
    otp = Otp(name, epmd, home, *options, cookie=cookie)
    try:
        otp.start()
        yield otp
    finally:
        otp.stop()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True

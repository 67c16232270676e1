"""The server as an Erlang node, beside a real OTP node with an epmd of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.harness import Server, eventually
from tests.harness.otp import Epmd

StartServer = Callable[..., Server]

COOKIE = "acookieofthetests"

APP = """
import uwsgi
from uwsgidecorators import erlang, rpc

@erlang("echo")
def echo(message):
    print("erlang message", message, flush=True)
    return message

@rpc("add")
def add(a, b):
    return a + b

@rpc("boom")
def boom():
    raise ZeroDivisionError("no")

def application(environ, start_response):
    from urllib.parse import unquote
    try:
        answer = repr(eval(unquote(environ["QUERY_STRING"])))
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""


@pytest.fixture
def epmd(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A private epmd; yields the environment that leads to it."""
    home = tmp_path / "home"
    home.mkdir()
    mapper = Epmd().start()
    try:
        yield {"ERL_EPMD_PORT": str(mapper.port), "HOME": str(home)}
    finally:
        mapper.stop()


@pytest.fixture
def server(start_server: StartServer, epmd: dict[str, str]) -> Server:
    """A server with a node, known to epmd."""
    ini = f"""
http-socket = 127.0.0.1:0
module = app
erlang = py@127.0.0.1
erlang-cookie = {COOKIE}
"""
    server = start_server(ini=ini, files={"app.py": APP}, env=epmd)
    server.wait_for("Erlang node py@127.0.0.1 listens")
    eventually(lambda: "name py at port" in _names(epmd))
    return server


def _names(environ: dict[str, str]) -> str:
    return subprocess.run(
        ["epmd", "-names"], env={**os.environ, **environ}, capture_output=True, text=True
    ).stdout


def erl(environ: dict[str, str], expression: str, cookie: str = COOKIE) -> str:
    """What an OTP node prints of an expression, where N is our node."""
    program = f"N='py@127.0.0.1', io:format(\"~p~n\", [catch begin {expression} end]), halt()."
    done = subprocess.run(
        [*ERL, "-setcookie", cookie, "-name", "t1@127.0.0.1", "-eval", program],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.strip()


ERL = [
    *("erl", "-noshell", "-start_epmd", "false"),
    *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
]


def test_node_answers_ping(server: Server, epmd: dict[str, str]) -> None:
    """`net_adm:ping` gives pong, and with another cookie pang."""
    assert erl(epmd, "net_adm:ping(N)") == "pong"
    assert erl(epmd, "net_adm:ping(N)", cookie="another").endswith("pang")


def test_message_reaches_the_registered_function(server: Server, epmd: dict[str, str]) -> None:
    """`{echo, Node} ! Msg` runs the function; `gen_server:call` gets its result."""
    erl(epmd, "{echo, N} ! {hello, 42}, net_adm:ping(N)")
    server.wait_for(r"erlang message \('hello', 42\)|erlang message \(Atom")
    assert erl(epmd, "gen_server:call({echo, N}, {a, [1,2]})") == "{a,[1,2]}"


def test_rpc_calls_our_functions(server: Server, epmd: dict[str, str]) -> None:
    """`rpc:call` and `erpc:call` run functions of `@rpc`, and only those."""
    assert erl(epmd, "rpc:call(N, any, add, [2, 40])") == "42"
    assert erl(epmd, "erpc:call(N, any, add, [2, 40])") == "42"
    assert "undef" in erl(epmd, 'rpc:call(N, os, system, [<<"true">>])')
    assert "ZeroDivisionError" in erl(epmd, "rpc:call(N, any, boom, [])")


def test_killed_gateway_is_replaced(server: Server, epmd: dict[str, str]) -> None:
    """kill -9 of the gateway: another one takes its name."""
    (gateway,) = server.pids("gateway")
    os.kill(gateway, 9)
    server.wait_for("respawned gateway 1")
    eventually(lambda: erl(epmd, "rpc:call(N, any, add, [1, 1])") == "2", within=20)


def test_app_calls_an_erlang_node(server: Server, epmd: dict[str, str]) -> None:
    """`erlang_rpc`, send and receive reach a real OTP node from a request."""
    program = (
        "register(echo, spawn(fun L() -> receive {P, M} -> P ! {reply, M}, L() end end)),"
        'io:format("up~n").'
    )
    peer = subprocess.Popen(
        [*ERL, "-setcookie", COOKIE, "-name", "srv@127.0.0.1", "-eval", program],
        env={**os.environ, **epmd},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "up\n"
        call = "uwsgi.erlang_rpc('srv@127.0.0.1','erlang','abs',[-5])"
        assert server.get(f"/?{call}").text == "5"
        exchange = (
            "(lambda%20c:%20(uwsgi.erlang_send_message(c,'echo',(c.pid,b'hi')),"
            "uwsgi.erlang_recv_message(c,timeout=5)[1],uwsgi.erlang_close(c))[1])"
            "(uwsgi.erlang_connect('srv@127.0.0.1'))"
        )
        assert server.get(f"/?{exchange}").text == "b'hi'"
    finally:
        peer.kill()
        peer.communicate()


def test_node_that_is_not_there_is_a_clear_error(server: Server) -> None:
    """The caller is told, and does not hang."""
    answer = server.get("/?uwsgi.erlang_connect('nobody@127.0.0.1')").text
    assert "nobody" in answer
    assert answer.startswith("NodeDown")

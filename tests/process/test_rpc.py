"""Functions called by name between real processes: two servers, a mule, nginx, the command line."""

from __future__ import annotations

import ast
import signal as unix_signals
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.harness import Nginx, Server, eventually

from muleteer.errors import NodeTimeout, NodeUnreachable, RpcError
from muleteer.rpc.caller import Caller

StartServer = Callable[..., Server]

APP = """
import os, time, uwsgi
from muleteer.decorators import rpc

@rpc("join")
def join(*words):
    return b"|".join(words)

@rpc("big")
def big(size):
    return "x" * int(size)

@rpc("echo")
def echo(value):
    return value

@rpc("boom")
def boom():
    return 1 // 0

@rpc("pid")
def pid():
    return os.getpid()

@rpc("sleep")
def sleep(seconds):
    time.sleep(float(seconds))
    return b"slept"

@rpc("die")
def die():
    os.kill(os.getpid(), 9)

@rpc("via")
def via(node, name, *args):
    return uwsgi.rpc(node, name, *args)

@rpc("page")
def page(word):
    return b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(word) + word

@rpc("late")
def late(name):
    uwsgi.register_rpc(name, lambda: b"late")
    return [each.decode() for each in uwsgi.rpc_list()]

def application(environ, start_response):
    expression = environ["wsgi.input"].read()
    try:
        answer = repr(eval(expression, {"uwsgi": uwsgi}))
    except Exception as error:
        answer = repr((type(error).__name__, str(error)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""

INI = """
socket = node.sock
socket = 127.0.0.1:0
module = app
processes = 2
disable-logging = true
"""


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """Two workers on a unix socket and a loopback port."""
    return start_server(ini=INI, files={"app.py": APP})


@pytest.fixture
def other(start_server: StartServer) -> Server:
    """Another one of the same."""
    return start_server(ini=INI, files={"app.py": APP})


def nodes(server: Server) -> list[str]:
    """The addresses of a server, as `uwsgi.rpc` takes them."""
    found = server.addresses("uwsgi")
    return [name if isinstance(name, str) else "{}:{}".format(*name) for name in found]


def call(node: str, name: bytes, *args: Any, timeout: float = 10.0) -> Any:
    caller = Caller()
    try:
        return caller.call(node, name, args, timeout)
    finally:
        caller.close()


def evaluate(server: Server, expression: str) -> Any:
    """What an expression is worth in a worker; an exception is its name and text."""
    return ast.literal_eval(server.ask(body=expression.encode()).text)


def test_one_server_calls_another(server: Server, other: Server) -> None:
    """Over a unix socket and over TCP: bytes, text, empty, long, JSON."""
    for node in nodes(other):
        assert evaluate(server, f"uwsgi.rpc({node!r}, 'join', 'a', b'', 'é')") == "a||é".encode()
        assert evaluate(server, f"uwsgi.rpc({node!r}, b'big', '200000')") == b"x" * 200_000
        assert evaluate(server, f"len(uwsgi.rpc({node!r}, 'echo', 'x' * 1000000))") == 1_000_000
        assert evaluate(server, f"uwsgi.rpc({node!r}, 'echo', [1, None])") == [1, None]


def test_each_failure_is_told_apart(server: Server, other: Server) -> None:
    """Unknown, raised, unreachable, too slow: the name of the error and a sentence."""
    node = nodes(other)[0]
    kind, text = evaluate(server, f"uwsgi.rpc({node!r}, 'nosuch')")
    assert (kind, "no RPC function 'nosuch'" in text) == ("UnknownFunction", True)
    kind, text = evaluate(server, f"uwsgi.rpc({node!r}, 'boom')")
    assert (kind, "ZeroDivisionError" in text) == ("CallFailed", True)
    kind, text = evaluate(server, "uwsgi.rpc('/nonexistent.sock', 'f')")
    assert (kind, "cannot be reached" in text) == ("NodeUnreachable", True)
    kind, text = evaluate(server, f"uwsgi.rpc({node!r}, 'sleep', '1', timeout=0.1)")
    assert (kind, "did not answer in time" in text) == ("NodeTimeout", True)
    other.wait_for("ZeroDivisionError: ")
    assert evaluate(server, f"uwsgi.rpc({node!r}, 'join', 'still')") == b"still"


def test_a_server_calls_itself_and_is_called_back(server: Server) -> None:
    """While one worker waits the other one answers, whoever called whom before."""
    for node in nodes(server):
        for _ in range(20):
            assert evaluate(server, f"uwsgi.rpc({node!r}, 'join', 'a')") == b"a"


def test_nested_calls_do_not_wait_for_each_other(start_server: StartServer) -> None:
    """A worker that waits for an answer is nobody's line: another one takes the nested call."""
    server = start_server(ini=INI.replace("processes = 2", "processes = 3"), files={"app.py": APP})
    node = nodes(server)[0]
    callers = [Caller() for _ in range(6)]
    try:
        for caller in callers * 10:
            assert caller.call(node, b"via", [node, "join", "a"], 3.0) == b"a"
            assert caller.call(node, b"via", [node, "via", node, "join", "a"], 3.0) == b"a"
    finally:
        for caller in callers:
            caller.close()


def test_a_busy_worker_does_not_hold_up_its_callers(server: Server) -> None:
    """A caller whose line ends at a worker that then serves a long request gets the other one."""
    node = nodes(server)[0]
    caller = Caller()
    pid = caller.call(node, b"pid", [], 10)
    busy = Caller()
    pids = {pid}
    # a call of another connection that takes its time, in whichever worker it lands
    long_call = [*Server.find_command(), "rpc", "--timeout", "20", node, "sleep", "2"]
    try:
        with subprocess.Popen(long_call, stdout=subprocess.PIPE) as sleeper:
            for _ in range(50):
                pids.add(busy.call(node, b"pid", [], 10))
                assert caller.call(node, b"join", [b"a"], 10) == b"a"
            out, _ = sleeper.communicate(timeout=30)
        assert out == b"slept\n"
    finally:
        caller.close()
        busy.close()
    assert pids <= server.pids("worker")


def test_a_worker_that_dies_in_a_call_is_told_and_replaced(server: Server) -> None:
    """The caller hears that nobody knows whether the function ran; the next call is answered."""
    node = nodes(server)[0]
    with pytest.raises(NodeUnreachable, match="is not known"):
        call(node, b"die")
    assert call(node, b"join", b"a") == b"a"


def test_a_reload_does_not_disturb_who_calls(server: Server) -> None:
    """Kept lines end with a goodbye: no call fails and none runs twice."""
    node = nodes(server)[0]
    old = server.pids("worker")
    caller = Caller()
    try:
        caller.call(node, b"join", [], 10)
        server.send(unix_signals.SIGHUP)
        while "chain reload done" not in server.log:
            assert caller.call(node, b"join", [b"a"], 10) == b"a"
        assert caller.call(node, b"pid", [], 10) not in old
    finally:
        caller.close()


def test_a_kept_line_does_not_delay_a_stop(server: Server) -> None:
    """An idle caller is told goodbye, and the server ends at once."""
    caller = Caller()
    caller.call(nodes(server)[0], b"join", [], 10)
    assert server.stop(within=5) == 0
    caller.close()


def test_a_function_registered_after_the_fork_is_its_processs_own(server: Server) -> None:
    """The worker that registered it has it; the other one does not."""
    node = nodes(server)[0]
    caller = Caller()
    try:
        assert "mine" in caller.call(node, b"late", ["mine"], 10)
        assert caller.call(node, b"mine", [], 10) == b"late"
        other = next(iter(server.pids("worker") - {caller.call(node, b"pid", [], 10)}))
        with pytest.raises(RpcError, match="no RPC function"):
            _call_worker(node, other, b"mine")
    finally:
        caller.close()


def _call_worker(node: str, pid: int, name: bytes) -> Any:
    """Call a function in the worker of that pid, however many connections it takes."""
    callers = [Caller() for _ in range(200)]
    try:
        for caller in callers:
            if caller.call(node, b"pid", [], 10) == pid:
                return caller.call(node, name, [], 10)
    finally:
        for caller in callers:
            caller.close()
    raise AssertionError(f"worker {pid} took none of 200 connections")


MULE = """
import uwsgi
while True:
    node = uwsgi.mule_get_msg()
    uwsgi.register_rpc("own", lambda: b"mule's own")
    print("mule got", uwsgi.rpc(node, "join", "a", "b"), uwsgi.call("own"), flush=True)
"""


def test_a_mule_calls_and_registers_for_itself(start_server: StartServer) -> None:
    """uWSGI lets neither mules nor spoolers register."""
    ini = INI + "mule = mule.py\n"
    server = start_server(ini=ini, files={"app.py": APP, "mule.py": MULE})
    evaluate(server, f"uwsgi.mule_msg({nodes(server)[0]!r})")
    server.wait_for(r"mule got b'a\|b' b\"mule's own\"")


def test_calls_are_refused_on_an_exposed_address(start_server: StartServer) -> None:
    """On 0.0.0.0 the caller hears why, and the log says what to do."""
    server = start_server(ini=INI + "socket = 0.0.0.0:0\n", files={"app.py": APP})
    port = nodes(server)[-1].rpartition(":")[2]
    with pytest.raises(RpcError, match="takes no calls"):
        call(f"127.0.0.1:{port}", b"join")
    server.wait_for(rf"port {port} takes no calls.*unix socket")


# -- behind nginx --------------------------------------------------------------------------------

RAW = """
            uwsgi_modifier1 173;
            uwsgi_modifier2 {modifier2};
            {parameters}
            uwsgi_pass_request_headers off;
            uwsgi_pass_request_body off;
"""


def test_nginx_calls_in_raw_mode(server: Server, start_nginx: Callable[..., Nginx]) -> None:
    """uwsgi_modifier1 173 and modifier2 1: the function's result is the whole HTTP answer."""
    passing = RAW.format(modifier2=1, parameters="uwsgi_param page ok;")
    response = start_nginx(server.uwsgi, passing=passing).get("/")
    assert (response.status, response.text) == (200, "ok")


def test_nginx_calls_by_path(server: Server, start_nginx: Callable[..., Nginx]) -> None:
    """modifier2 2: /function/argument/argument; 404 for a function that is not there."""
    passing = RAW.format(modifier2=2, parameters="uwsgi_param PATH_INFO $document_uri;")
    nginx = start_nginx(server.uwsgi, passing=passing)
    response = nginx.get("/join/a/b")
    assert (response.status, response.text) == (200, "a|b")
    assert len(nginx.get("/big/200000").body) == 200_000
    assert nginx.get("/nosuch").status == 404
    assert nginx.get("/boom").status == 404


# -- the command line ----------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    done = subprocess.run(
        [*Server.find_command(), *words], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_calls(server: Server) -> None:
    """`muleteer rpc` prints the result, JSON for what is no bytes, and one line for a failure."""
    node = nodes(server)[0]
    assert run("rpc", node, "join", "a", "", "b") == (0, "a||b\n", "")
    code, out, _ = run("rpc", node, "pid")
    assert (code, int(out) in server.pids("worker")) == (0, True)
    code, _, err = run("rpc", node, "nosuch")
    assert (code, "no RPC function 'nosuch'" in err) == (2, True)
    code, _, err = run("rpc", "--timeout", "0.2", node, "sleep", "1")
    assert (code, "did not answer in time" in err) == (1, True)
    code, _, err = run("rpc", node)
    assert (code, "usage: muleteer rpc" in err) == (3, True)
    assert "Traceback" not in err
    assert eventually(lambda: call(node, b"join") == b"", within=5, what="a worker is free")


def test_a_timeout_of_the_caller_is_its_own(server: Server) -> None:
    """The function goes on; the worker serves when it is done."""
    node = nodes(server)[0]
    with pytest.raises(NodeTimeout):
        call(node, b"sleep", b"0.3", timeout=0.1)
    assert call(node, b"join", b"a") == b"a"

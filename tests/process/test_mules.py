"""Mules: messages of any size reach them, once each, through deaths and reloads."""

from __future__ import annotations

import os
import signal as unix_signals
from collections.abc import Callable

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
"""

APP = """
import hashlib, json, os, time
from urllib.parse import parse_qs
import uwsgi
from uwsgidecorators import mulefunc

def hook(message):
    text = message[:100].decode(errors="replace")
    if text == "die":
        os.kill(os.getpid(), 9)
    if text.startswith("hold"):
        print("holding", uwsgi.mule_id(), flush=True)
        while not os.path.exists("go"):
            time.sleep(0.01)
    print("mule", uwsgi.mule_id(), "got", len(message), text[:20], flush=True)

uwsgi.mule_msg_hook = hook

@mulefunc
def add(a, b=0):
    print("add", a + b, "in mule", uwsgi.mule_id(), flush=True)

@mulefunc(2)
def in_two(blob):
    print("in_two", len(blob), "in mule", uwsgi.mule_id(), flush=True)

@mulefunc("video")
def in_farm(x):
    print("in_farm", x, uwsgi.in_farm("video"), "in mule", uwsgi.mule_id(), flush=True)

def calls(path, q):
    one = lambda name, default="": q.get(name, [default])[0]
    if path == "/msg":
        target = one("to", "0")
        target = int(target) if target.isdigit() else target
        return uwsgi.mule_msg(one("text").encode() * int(one("times", "1")), target)
    if path == "/many":
        for n in range(int(one("n"))):
            uwsgi.mule_msg(f"{one('text')}{n}", 1)
        return "sent"
    if path == "/farm":
        return uwsgi.farm_msg(one("name"), one("text"))
    if path == "/add":
        return add(1, b=2)
    if path == "/two":
        return in_two(b"x" * 3_000_000)
    if path == "/in_farm":
        return in_farm("y")
    if path == "/get":
        return uwsgi.mule_get_msg()
    return uwsgi.mule_id()

def application(environ, start_response):
    try:
        answer = repr(calls(environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])))
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""


def start(start_server: StartServer, extra: str = "mules = 2\n", **files: str) -> Server:
    named = {f"{name}.py": text for name, text in files.items()}
    return start_server(ini=INI + extra, files={"app.py": APP, **named})


def ask(server: Server, path: str) -> str:
    return server.get(path).text


# -- messages -----------------------------------------------------------------------------


def test_message_reaches_the_mule_it_names(start_server: StartServer) -> None:
    """A number reaches that mule, 0 any of them, a farm's name one of the farm."""
    server = start(start_server, "mules = 3\nfarm = video:2,3\n")
    assert ask(server, "/msg?text=hello&to=2") == "True"
    server.wait_for("mule 2 got 5 hello")
    assert ask(server, "/msg?text=anybody") == "True"
    server.wait_for(r"mule \d got 7 anybody")
    assert ask(server, "/msg?text=a-farm&to=video") == "True"
    server.wait_for(r"mule [23] got 6 a-farm")
    ask(server, "/farm?name=video&text=farm-too")
    server.wait_for(r"mule [23] got 8 farm-too")


@pytest.mark.parametrize("times", [1, 60_000, 70_000, 5_000_000])
def test_message_of_any_size_arrives_whole(start_server: StartServer, times: int) -> None:
    """From a byte to 5 MB (uWSGI cuts at 64 kB)."""
    server = start(start_server)
    ask(server, f"/msg?text=x&times={times}&to=1")
    server.wait_for(f"mule 1 got {times} x")


def test_mulefunc_runs_where_it_says(start_server: StartServer) -> None:
    """A call runs in any mule, in that mule or in that farm, with arguments of any size."""
    server = start(start_server, "mules = 3\nfarm = video:3\n")
    assert ask(server, "/add") == "None"
    server.wait_for(r"add 3 in mule \d")
    ask(server, "/two")
    server.wait_for("in_two 3000000 in mule 2")
    ask(server, "/in_farm")
    server.wait_for("in_farm y True in mule 3")


def test_unknown_mule_and_farm_are_errors_that_name_the_known(start_server: StartServer) -> None:
    """A mule or a farm that is not there is an error at the call, with what there is."""
    server = start(start_server, "mules = 2\nfarm = video:1\n")
    assert "the mules are 1 to 2" in ask(server, "/msg?text=x&to=3")
    assert "there is: video" in ask(server, "/farm?name=audio&text=x")
    assert "only a mule gets messages" in ask(server, "/get")


def test_without_mules_the_error_names_the_option(start_server: StartServer) -> None:
    """Who sends a message to no mule is told which option makes one."""
    server = start(start_server, "")
    assert "mules = N" in ask(server, "/msg?text=x")


def test_full_queue_holds_the_sender_and_then_raises(start_server: StartServer) -> None:
    """Nothing is dropped: every message that was accepted arrives, in order."""
    server = start(start_server, "mules = 1\n")
    ask(server, "/msg?text=hold&to=1")
    server.wait_for("holding 1")
    with Client(server.http, timeout=20) as client:
        answer = client.request("GET", "/many?n=100000&text=m").text
    assert "ChannelFull" in answer
    assert "mule1" in answer
    (server.folder / "go").touch()
    server.wait_for("mule 1 got 2 m0")
    last = ask(server, "/msg?text=last&to=1")
    assert last == "True"
    server.wait_for("mule 1 got 4 last")
    got = [int(m[1]) for m in server.log.find(r"mule 1 got \d+ m(\d+)$")]
    assert got == list(range(len(got)))
    assert len(got) > 100


# -- deaths and reloads -------------------------------------------------------------------


def test_death_of_a_mule_loses_the_message_it_ran_and_says_which(
    start_server: StartServer,
) -> None:
    """What waits is the successor's; what ran is named in the log."""
    server = start(start_server, "mules = 1\n")
    ask(server, "/msg?text=hold&to=1")
    server.wait_for("holding 1")
    for text in ("first", "second"):
        ask(server, f"/msg?text={text}&to=1")
    (mule,) = server.pids("mule")
    os.kill(mule, unix_signals.SIGKILL)
    server.wait_for(r"mule 1 \(pid: \d+\) died while it ran a message of 4 bytes: hold")
    server.wait_for("mule 1 got 6 second")
    assert len(server.log.find("mule 1 got 5 first")) == 1


def test_undelivered_messages_survive_a_reload(start_server: StartServer) -> None:
    """A reload lets the running message finish; what waits is run by the new generation."""
    server = start(start_server, "mules = 1\n")
    ask(server, "/msg?text=hold&to=1")
    server.wait_for("holding 1")
    ask(server, "/msg?text=waits&to=1")
    server.send(unix_signals.SIGHUP)
    server.wait_for("generation 2: loaded")
    assert "got 5 waits" not in server.log
    (server.folder / "go").touch()
    server.wait_for("mule 1 got 4 hold")
    server.wait_for("mule 1 got 5 waits")
    server.wait_for("chain reload done")


def test_poison_message_does_not_stop_the_others(start_server: StartServer) -> None:
    """A message that kills its mule costs only itself."""
    server = start(start_server, "mules = 1\n")
    for text in ("die", "after"):
        ask(server, f"/msg?text={text}&to=1")
    server.wait_for("mule 1 got 5 after")
    assert "died while it ran a message of 3 bytes: die" in server.log


HOLDING = """
import os, time, uwsgi
def run():
    while True:
        message = uwsgi.mule_get_msg()
        print("in hand", message, flush=True)
        while message == b"precious" and not os.path.exists("go"):
            time.sleep(0.01)
"""


def test_a_program_s_death_names_its_message(start_server: StartServer) -> None:
    """What a program has taken is its own until it asks for the next; what waits is not lost."""
    server = start(start_server, "mule = background:run\n", background=HOLDING)
    ask(server, "/msg?text=precious&to=1")
    server.wait_for("in hand b'precious'")
    ask(server, "/msg?text=waits&to=1")
    (mule,) = server.pids("mule")
    os.kill(mule, unix_signals.SIGKILL)
    server.wait_for(r"mule 1 \(pid: \d+\) died while it ran a message of 8 bytes: precious")
    server.wait_for("in hand b'waits'")
    assert len(server.log.find("in hand b'precious'")) == 1


COUNTING = """
import os, threading, time, uwsgi

HERE = os.getcwd()

def note(message):
    fd = os.open(HERE + "/handled", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, message + b"\\n")
    os.close(fd)

def serve():
    while True:
        message = uwsgi.mule_get_msg(timeout=0.05)
        if message is not None:
            note(message)

def run():
    serve()

def run_threads():
    for _ in range(3):
        threading.Thread(target=serve, daemon=True).start()
    while True:
        time.sleep(60)
"""

SENDING = APP.replace(
    'if path == "/many":',
    """if path == "/numbers":
        first, last = int(one("first")), int(one("last"))
        return [uwsgi.mule_msg(str(n)) for n in range(first, last)].count(True)
    if path == "/many":""",
)


def test_reloads_lose_no_message_and_double_none(start_server: StartServer) -> None:
    """Two programs, one of three threads, take numbers while the server reloads again and again."""
    ini = INI + "processes = 2\nmule = background:run\nmule = background:run_threads\n"
    server = start_server(ini=ini, files={"app.py": SENDING, "background.py": COUNTING})
    handled = server.folder / "handled"
    for generation in range(2, 7):
        before = server.pids("mule")
        server.send(unix_signals.SIGHUP)
        first = (generation - 2) * 500
        for low in range(first, first + 500, 50):
            assert ask(server, f"/numbers?first={low}&last={low + 50}") == "50"
        server.wait_for("chain reload done", times=generation - 1, within=20)
        eventually(lambda: not before & server.pids("mule"))  # noqa: B023 - awaited here
    eventually(lambda: len(handled.read_text().split()) >= 2500, within=20)
    numbers = [int(number) for number in handled.read_text().split()]
    assert sorted(numbers) == list(range(2500))


HOOKS = """
def first(message):
    print("first hook", message, flush=True)
    if message == b"break":
        raise ValueError("in the first hook")

uwsgi.mule_msg_hook = first
uwsgi.install_mule_msg_hook(lambda message: print("second hook", message, flush=True))
"""


def test_several_hooks_see_a_message(start_server: StartServer) -> None:
    """The assigned one, installed ones and `@mulefunc`; what one raises hurts no other."""
    server = start_server(ini=INI + "mules = 1\n", files={"app.py": APP + HOOKS})
    ask(server, "/msg?text=break&to=1")
    server.wait_for("first hook b'break'")
    server.wait_for("ValueError: in the first hook")
    server.wait_for("second hook b'break'")
    ask(server, "/add")
    server.wait_for("add 3 in mule 1")


# -- programs and loops -------------------------------------------------------------------

SCRIPT = """
import uwsgi
print("script is", __name__, "in mule", uwsgi.mule_id(), flush=True)
while True:
    message = uwsgi.mule_get_msg(timeout=30)
    print("script got", message, flush=True)
    if message == b"return":
        break
"""


def test_script_runs_as_main_and_is_forked_again_when_it_returns(
    start_server: StartServer,
) -> None:
    """`mule = script.py` runs with `__name__ == "__main__"`, and again after it ended."""
    server = start(start_server, "mule = script.py\n", script=SCRIPT)
    server.wait_for("script is __main__ in mule 1")
    ask(server, "/msg?text=one&to=1")
    server.wait_for("script got b'one'")
    ask(server, "/msg?text=return&to=1")
    server.wait_for("the program of mule 1 returned")
    server.wait_for("script is __main__ in mule 1", times=2)
    ask(server, "/msg?text=two&to=1")
    server.wait_for("script got b'two'")
    assert server.stop() == 0


def test_program_that_returns_at_once_is_not_forked_in_a_hot_loop(
    start_server: StartServer,
) -> None:
    """The delay before the next fork doubles."""
    server = start(start_server, "mule = script.py\n", script="print('ran', flush=True)\n")
    server.wait_for(r"respawning in 0\.8 s")
    assert len(server.log.find("^ran$")) <= 6


def test_callable_of_a_module_is_a_mules_program(start_server: StartServer) -> None:
    """`mule = module:function` calls it in the mule."""
    code = "import uwsgi\ndef run():\n    print('run in', uwsgi.mule_id(), flush=True)\n"
    code += "    while True:\n        uwsgi.mule_get_msg()\n"
    server = start(start_server, "mules = 1\nmule = background:run\n", background=code)
    server.wait_for("run in 2")
    assert server.stop() == 0


ON_ITS_OWN = """
import time, uwsgi
def run():
    print("run alone", flush=True)
    try:
        while True:
            time.sleep(0.01)
    finally:
        print("cleaned up", flush=True)
"""


def test_program_that_never_asks_is_ended_where_it_is(start_server: StartServer) -> None:
    """Nothing holds up a stop or a reload for a loop that has no end; its `finally` runs."""
    server = start(start_server, "mule = background:run\n", background=ON_ITS_OWN)
    server.wait_for("run alone")
    server.send(unix_signals.SIGHUP)
    server.wait_for("cleaned up")
    server.wait_for("run alone", times=2)
    assert server.stop(within=5) == 0
    assert len(server.log.find("cleaned up")) == 2
    assert "KILL" not in server.log


THREADS = """
import os, threading, time, uwsgi

def serve(name):
    while True:
        message = uwsgi.mule_get_msg()
        print(name, "took", message, flush=True)
        while message == b"hold" and not os.path.exists("go"):
            time.sleep(0.01)
        print(name, "did", message, flush=True)

def run():
    for name in ("first", "second"):
        threading.Thread(target=serve, args=(name,), daemon=True).start()
    print("threads run", flush=True)
    while True:
        time.sleep(60)
"""


def test_threads_of_a_program_may_wait_for_messages(start_server: StartServer) -> None:
    """Each message is one thread's; a stop waits for what one has in hand, and for no more."""
    server = start(start_server, "mule = background:run\n", background=THREADS)
    server.wait_for("threads run")
    ask(server, "/msg?text=hold&to=1")
    busy = server.wait_for(r"(\w+) took b'hold'")[1]
    for _ in range(3):
        ask(server, "/msg?text=more&to=1")
    server.wait_for("did b'more'", times=3)
    assert {m[1] for m in server.log.find(r"(\w+) did b'more'")} == {"first", "second"} - {busy}
    server.send(unix_signals.SIGTERM)
    server.wait_for("stopping")
    ended = eventually(lambda: not server.pids("worker"), within=10)
    assert ended
    assert server.pids("mule")
    (server.folder / "go").touch()
    server.wait_for(f"{busy} did b'hold'")
    assert server.wait(within=5) == 0
    assert "Exception in thread" not in server.log


SLOW_ROUND = """
from muleteer.decorators import muleloop

@muleloop(1)
def round_by_round():
    print("round begun", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    print("round over", flush=True)
    time.sleep(0.05)
"""


def test_round_of_a_muleloop_is_not_cut_off(start_server: StartServer) -> None:
    """Asked to leave, the mule finishes its round and goes."""
    server = start_server(ini=INI + "mules = 1\n", files={"app.py": APP + SLOW_ROUND})
    server.wait_for("round begun")
    server.send(unix_signals.SIGTERM)
    server.wait_for("stopping")
    assert eventually(lambda: not server.pids("worker"), within=10)
    assert server.pids("mule")
    (server.folder / "go").touch()
    assert server.wait(within=5) == 0
    assert len(server.log.find("round begun")) == len(server.log.find("round over"))


DECORATED = (
    APP.replace(
        "from uwsgidecorators import mulefunc",
        "from uwsgidecorators import mulefunc, mule, muleloop, mulemsg, farm",
    )
    + """
@mule(1)
def whole_life():
    print("whole life of mule", uwsgi.mule_id(), flush=True)
    while True:
        uwsgi.mule_get_msg()

rounds = 0

@muleloop(2)
def again():
    global rounds
    rounds += 1
    time.sleep(0.01)
    if rounds == 3:
        print("third round in mule", uwsgi.mule_id(), flush=True)

@mulemsg(3)
def each(message):
    print("each", message, uwsgi.mule_id(), flush=True)

@farm("video")
def for_farm(message):
    print("for_farm", message, uwsgi.mule_id(), flush=True)
"""
)


def test_decorated_mule_bodies(start_server: StartServer) -> None:
    """`@mule`, `@muleloop`, `@mulemsg` and `@farm` run in their mules, and all leave when asked."""
    server = start_server(ini=INI + "mules = 4\nfarm = video:4\n", files={"app.py": DECORATED})
    server.wait_for("whole life of mule 1")
    server.wait_for("third round in mule 2")
    ask(server, "/msg?text=m&to=3")
    server.wait_for("each b'm' 3")
    ask(server, "/farm?name=video&text=f")
    server.wait_for("for_farm b'f' 4")
    assert server.stop() == 0


CALLED = (
    APP.replace("import mulefunc", "import mulefunc, mulemsg, farm")
    + """
@mulemsg(1)
def each(message):
    print("each", message, uwsgi.mule_id(), flush=True)

@farm("video")
def for_farm(message):
    print("for_farm", message, uwsgi.mule_id(), flush=True)
"""
)


def test_mulefunc_runs_in_a_mule_that_takes_messages_itself(start_server: StartServer) -> None:
    """A call to any mule, or to a farm, is made where `@mulemsg` or `@farm` listens."""
    server = start_server(ini=INI + "mules = 2\nfarm = video:2\n", files={"app.py": CALLED})
    ask(server, "/in_farm")
    server.wait_for("in_farm y True in mule 2")
    ask(server, "/add")
    server.wait_for(r"add 3 in mule 1")
    ask(server, "/msg?text=m&to=1")
    server.wait_for("each b'm' 1")
    assert len(server.log.find("each|for_farm")) == 1


GETTING = """
import time, uwsgi
def run():
    print("empty", uwsgi.mule_get_msg(timeout=0), flush=True)
    started = time.monotonic()
    nothing = uwsgi.mule_get_msg(timeout=0.3)
    print("waited", nothing, 0.25 < time.monotonic() - started < 5, flush=True)
    while True:
        print("got", uwsgi.mule_get_msg(True, True, 65536, -1), flush=True)
"""


def test_mule_get_msg_takes_uwsgis_arguments(start_server: StartServer) -> None:
    """A time-out gives None, an empty message b''; the four arguments may be positional."""
    server = start(start_server, "mule = background:run\n", background=GETTING)
    server.wait_for("empty None")
    server.wait_for("waited None True")
    ask(server, "/msg?text=&to=1")
    server.wait_for("got b''")


def test_signals_are_handled_while_a_mule_waits_for_messages(start_server: StartServer) -> None:
    """`mule_get_msg` runs the handlers of signals that arrive (uWSGI lets them pile up)."""
    code = f"{GETTING}\nfrom uwsgidecorators import timer\n@timer(1, target='mule1')\n"
    code += "def tick(n):\n    print('tick in', uwsgi.mule_id(), flush=True)\n"
    server = start(start_server, "mule = background:run\n", background=code)
    server.wait_for("tick in 1", times=2)


def test_signal_reaches_mules_and_farms(start_server: StartServer) -> None:
    """The targets of mules: any, one, all, a farm."""
    code = (
        APP
        + """
def say(word):
    return lambda n: print(word, uwsgi.mule_id(), flush=True)
for number, target in enumerate(("mule", "mule2", "mules", "farm_video", "farm1")):
    uwsgi.register_signal(number, target, say(f"to {target}:"))
calls_before = calls
def calls(path, q):
    for number in range(5):
        uwsgi.signal(number)
"""
    )
    server = start_server(ini=INI + "mules = 3\nfarm = video:3\n", files={"app.py": code})
    server.get("/")
    server.wait_for(r"to mule: \d")
    server.wait_for("to mule2: 2")
    for number in (1, 2, 3):
        server.wait_for(f"to mules: {number}")
    server.wait_for("to farm_video: 3")
    server.wait_for("to farm1: 3")


def test_mules_alone_are_something_to_do(start_server: StartServer) -> None:
    """A server without sockets runs its mules (uWSGI refuses to start)."""
    server = start_server(
        ini="mule = script.py\n", files={"script.py": SCRIPT}, ready="script is __main__"
    )
    assert eventually(lambda: server.pids("mule"))
    assert server.stop() == 0

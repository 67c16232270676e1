"""What decorators take: coroutine functions, methods, and the forms of @lock; on both servers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.fake_uwsgi import Server, load

from muleteer.errors import LockError, LockTimeout, Postponed
from muleteer.facade.surface import Surface


@pytest.fixture(params=[True, False], ids=["ours", "uwsgi"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server in memory: ours, or one with uWSGI's strictness."""
    return Server(ours=request.param)


@pytest.fixture
def d(monkeypatch: pytest.MonkeyPatch, server: Server) -> Any:
    """The decorators on that server."""
    return load(monkeypatch, server.uwsgi)


@pytest.fixture
def here() -> Server:
    """Our own server."""
    return Server(ours=True)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, here: Server) -> Any:
    """The decorators on our own server."""
    return load(monkeypatch, here.uwsgi)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The decorators without a server."""
    return load(monkeypatch, None)


@pytest.mark.parametrize("names_it", [True, False])
def test_an_erlang_process_may_do_without_the_message(
    ours: Any, here: Server, names_it: bool
) -> None:
    """uWSGI's documentation decorates a function that takes nothing; one that takes it gets it."""
    got = []

    def named(message: object) -> str:
        got.append(message)
        return "Hello"

    def nameless() -> str:
        return "Hello"

    function = named if names_it else nameless
    assert ours.erlang("foobar")(function) is function
    assert here.runtime.registry.erlang["foobar"]("a message") == "Hello"
    assert got == (["a message"] if names_it else [])


def elsewhere(do: Callable[[], Any]) -> Any:
    """What another thread gets or raises."""
    answer: list[Any] = []

    def run() -> None:
        try:
            answer.append(do())
        except BaseException as error:
            answer.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answer[0]


# -- lock ----------------------------------------------------------------------------------


def held_locks(server: Server) -> list[tuple[str, int]]:
    """What a server like uWSGI was asked to do."""
    return list(server.uwsgi.calls)


@pytest.mark.parametrize("form", ["@lock(1)", "@lock(num=1)", "with lock(1)"])
def test_every_form_of_lock_takes_its_number_and_gives_it_back(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """With the calls that uWSGI has, too; whatever happens in between."""
    server = Server(ours=False)
    d = load(monkeypatch, server.uwsgi)

    def fail() -> None:
        raise OSError

    def in_block() -> None:
        with d.lock(1):
            fail()

    forms = {"@lock(1)": d.lock(1)(fail), "@lock(num=1)": d.lock(num=1)(fail)}
    with pytest.raises(OSError):
        forms.get(form, in_block)()
    assert held_locks(server) == [("lock", 1), ("unlock", 1)]


def test_lock_numbers_are_the_server_s(ours: Any, here: Server) -> None:
    """The one that is asked for is held, and no other; one that is not there is refused."""
    with ours.lock(1):
        assert [here.uwsgi.is_locked(n) for n in (0, 1)] == [False, True]
    assert not here.uwsgi.is_locked(1)
    with pytest.raises(LockError, match="no lock 9"):
        ours.lock(9)(lambda: None)()


@pytest.mark.parametrize("limit", [{"timeout": 0.01}, {"blocking": False}])
def test_a_call_that_does_not_get_its_lock_in_time_is_not_made(
    ours: Any, here: Server, limit: dict[str, Any]
) -> None:
    """TimeoutError names the function, the lock and who holds it; it is a LockError, too."""
    ran: list[int] = []

    @ours.lock(1, **limit)
    def work() -> None:
        ran.append(1)

    with ours.lock(1):
        refused = elsewhere(work)
    assert isinstance(refused, TimeoutError)
    assert isinstance(refused, LockTimeout)
    assert "work: lock 1 was not free" in str(refused)
    assert ran == []
    work()
    assert ran == [1]


def test_a_block_that_does_not_get_its_lock_in_time_is_not_entered(ours: Any) -> None:
    """`with lock(timeout=…)` raises; the lock stays with its holder."""

    def enter() -> None:
        with ours.lock(timeout=0.01):
            raise AssertionError("entered")

    with ours.lock():
        assert isinstance(elsewhere(enter), TimeoutError)


@pytest.mark.parametrize("limit", [{}, {"timeout": 1}, {"blocking": False}])
def test_a_lock_that_this_thread_holds_is_refused_at_once(ours: Any, limit: dict[str, Any]) -> None:
    """Where uWSGI waits for itself for ever."""
    inner = ours.lock(1, **limit)(lambda: None)
    with ours.lock(1), pytest.raises(LockError, match="by this thread already"):
        inner()


def test_time_limits_are_refused_where_the_server_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """At decoration, under uWSGI; without a server all forms are harmless."""
    d = load(monkeypatch, Server(ours=False).uwsgi)
    for limit in ({"timeout": 1}, {"blocking": False}):
        with pytest.raises(RuntimeError, match="muleteer's own"):
            d.lock(**limit)
    alone = load(monkeypatch, None)
    assert alone.lock(2, timeout=1)(lambda: "ran")() == "ran"
    with alone.lock(blocking=False):
        pass


@pytest.mark.parametrize("wrong", ["name", 1.5, True, None])
def test_lock_takes_a_function_or_a_number(d: Any, wrong: Any) -> None:
    """Anything else is a mistake that would show much later."""
    with pytest.raises(TypeError, match="takes a lock's number"):
        d.lock(wrong)


@pytest.mark.parametrize("between", [lambda d: lambda f: f, lambda d: d.harakiri(9)])
def test_the_handler_of_a_signal_does_not_wait_for_its_lock(
    ours: Any, here: Server, between: Callable[[Any], Any]
) -> None:
    """Its loop is told instead, and lets the signal wait; also with a decorator in between."""
    handler = between(ours)(ours.lock(lambda signum: None))
    ours.signal(17)(handler)

    def handle() -> None:
        here.runtime.stage.signum = 17
        handler(17)

    with ours.lock():
        assert isinstance(elsewhere(handle), Postponed)
    assert elsewhere(handle) is None


def test_what_a_handler_calls_waits_for_its_lock(ours: Any, here: Server) -> None:
    """Half a handler cannot be put off: only the handler itself can."""
    part = ours.lock(timeout=0.01)(lambda: None)

    @ours.signal(17)
    def handler(signum: int) -> None:
        part()

    def handle() -> None:
        here.runtime.stage.signum = 17
        handler(17)

    with ours.lock():
        assert isinstance(elsewhere(handle), LockTimeout)


# -- coroutine functions -------------------------------------------------------------------


async def double(number: int) -> int:
    """Twice the number, after a turn of the loop."""
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    """Raise, after a turn of the loop."""
    await asyncio.sleep(0)
    raise OSError("on purpose")


@pytest.mark.parametrize(
    "decorate", [lambda d: d.lock, lambda d: d.lock(1), lambda d: d.harakiri(9)]
)
def test_a_call_of_a_coroutine_function_runs_it_to_its_end(
    d: Any, decorate: Callable[[Any], Any]
) -> None:
    """With its result and its exception, inside of what the decorator does."""
    assert decorate(d)(double)(4) == 8
    with pytest.raises(OSError, match="on purpose"):
        decorate(d)(fail)()


def test_without_a_server_a_coroutine_function_runs_to_its_end(alone: Any) -> None:
    """Where the decorated name is called, it is called like any other function."""
    for decorate in (alone.lock, alone.harakiri(1), alone.mulefunc, alone.mulefunc(1)):
        assert decorate(double)(4) == 8
    assert alone.spool(pass_arguments=True)(double)(4) == 8


@pytest.mark.parametrize("pass_arguments", [True, False])
def test_a_task_may_be_a_coroutine(d: Any, server: Server, pass_arguments: bool) -> None:
    """It is run in the spooler; `.f` is the coroutine function itself."""
    seen: list[Any] = []

    @d.spool(pass_arguments=pass_arguments)
    async def task(argument: Any) -> None:
        await asyncio.sleep(0)
        seen.append(argument)

    task.spool(*([7] if pass_arguments else [{"a": "7"}]))
    assert server.run() == [server.uwsgi.SPOOL_OK]
    assert seen == [7] if pass_arguments else seen[0]["a"] == "7"
    asyncio.run(task.f({"a": "8"}))
    assert len(seen) == 2


def test_a_raw_task_may_be_a_coroutine(d: Any, server: Server) -> None:
    """What it returns at its end is the answer."""

    @d.spoolraw
    async def task(arguments: dict[str, str]) -> int:
        return server.uwsgi.SPOOL_RETRY  # type: ignore[no-any-return]

    task.spool(a="1")
    assert server.run() == [server.uwsgi.SPOOL_RETRY]


@pytest.mark.parametrize(
    "decorate",
    [
        lambda d: d.signal(9),
        lambda d: d.timer(3, signum=9),
        lambda d: d.rbtimer(3, signum=9),
        lambda d: d.cron(-1, -1, -1, -1, -1, signum=9),
    ],
)
def test_a_handler_may_be_a_coroutine(
    d: Any, server: Server, decorate: Callable[[Any], Any]
) -> None:
    """The server gets a function to call; the name stays the coroutine function."""
    decorated = decorate(d)(double)
    assert decorated is double
    _, handler = server.handlers[9]
    assert handler(9) == 18
    assert handler.__name__ == "double"


def test_an_rpc_function_may_be_a_coroutine(ours: Any, here: Server) -> None:
    """Its result is the call's."""
    ours.rpc("double")(double)
    assert here.uwsgi.call("double", 4) == 8


def test_postfork_takes_coroutine_functions(d: Any, server: Server) -> None:
    """For all processes, and for one."""
    ran: list[str] = []

    async def everywhere() -> None:
        ran.append("everywhere")

    async def in_one() -> None:
        ran.append("in one")

    assert d.postfork(everywhere) is everywhere
    assert d.postfork(1)(in_one) is in_one
    server.fork(worker=1)
    assert ran == ["everywhere", "in one"]


def test_a_thread_may_run_a_coroutine(d: Any) -> None:
    """On a loop of its own, which is closed with the thread."""
    loops: list[asyncio.AbstractEventLoop] = []

    @d.thread
    async def work() -> None:
        loops.append(asyncio.get_running_loop())

    for _ in range(2):
        work().join()
    assert [loop.is_closed() for loop in loops] == [True, True]
    assert loops[0] is not loops[1]


def test_a_process_keeps_one_loop_per_thread(d: Any) -> None:
    """Made once: what lives on a loop, a pool of connections say, lives on."""

    @d.lock
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert loop() is loop()
    other = elsewhere(loop)
    assert other is not loop()
    assert not other.is_closed()


def test_runs_do_not_see_each_other_s_context(d: Any) -> None:
    """What one sets in a context variable the next one does not find; the caller's it sees."""
    variable = contextvars.ContextVar("variable", default="unset")

    @d.harakiri(9)
    async def look_and_set() -> str:
        seen = variable.get()
        variable.set("by a run")
        return seen

    assert [look_and_set(), look_and_set()] == ["unset", "unset"]
    token = variable.set("by the caller")
    assert look_and_set() == "by the caller"
    variable.reset(token)


def test_a_coroutine_cannot_be_run_inside_of_another(d: Any) -> None:
    """One thread runs one loop at a time: RuntimeError, and no warning of a forgotten coroutine."""
    locked = d.lock(double)

    async def outer() -> int:
        return int(locked(1))

    with pytest.raises(RuntimeError, match="running event loop"):
        asyncio.run(outer())
    gc.collect()


def test_loops_are_closed_at_the_exit(monkeypatch: pytest.MonkeyPatch, alone: Any) -> None:
    """Every thread's; asynchronous generators end with them."""
    from muleteer.decorators import running

    ended: list[str] = []

    async def generate() -> Any:
        try:
            yield 1
        finally:
            ended.append("generator")

    generator = generate()
    alone.lock(lambda: None)

    @alone.lock
    async def begin() -> asyncio.AbstractEventLoop:
        await generator.__anext__()
        return asyncio.get_running_loop()

    loop = begin()
    running._close_all()
    assert loop.is_closed()
    assert ended == ["generator"]
    running.close_loop()


# -- methods -------------------------------------------------------------------------------


def test_around_a_call_methods_of_every_kind_work(d: Any) -> None:
    """Plain, static and class methods, whichever decorator is above the other."""

    class Account:
        owner = "all"

        @d.lock
        def plain(self, a: int) -> Any:
            return (type(self), a)

        @staticmethod
        @d.lock
        def static(a: int) -> int:
            return a

        @d.harakiri(3)
        @staticmethod
        def static_below(a: int) -> int:
            return a

        @classmethod
        @d.harakiri(3)
        def of_class(cls, a: int) -> Any:
            return (cls, a)

        @d.lock(1)
        @classmethod
        def of_class_below(cls, a: int) -> Any:
            return (cls, a)

        @d.thread
        def in_thread(self, seen: list[Any]) -> None:
            seen.append(self)

    account = Account()
    assert account.plain(1) == (Account, 1)
    for place in (account, Account):
        assert (place.static(2), place.static_below(3)) == (2, 3)
        assert (place.of_class(4), place.of_class_below(5)) == ((Account, 4), (Account, 5))
    seen: list[Any] = []
    account.in_thread(seen).join()
    assert seen == [account]


NEED_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "spool": lambda d: d.spool,
    "spool(pass_arguments)": lambda d: d.spool(pass_arguments=True),
    "signal": lambda d: d.signal(9),
    "timer": lambda d: d.timer(3),
    "rbtimer": lambda d: d.rbtimer(3),
    "cron": lambda d: d.cron(-1, -1, -1, -1, -1),
    "postfork": lambda d: d.postfork,
    "postfork(1)": lambda d: d.postfork(1),
    "mule": lambda d: d.mule(1),
    "muleloop": lambda d: d.muleloop(1),
    "mulemsg": lambda d: d.mulemsg(1),
    "farm": lambda d: d.farm("crew"),
    "rpc": lambda d: d.rpc("name"),
    "erlang": lambda d: d.erlang("name"),
}
"""What the server calls later, where it has no object."""


@pytest.mark.parametrize("name", NEED_FUNCTIONS)
def test_what_the_server_calls_later_cannot_be_a_method(alone: Any, name: str) -> None:
    """TypeError in the class body, with the way out; without a server, too."""
    decorate = NEED_FUNCTIONS[name](alone)
    with pytest.raises(TypeError, match="put @staticmethod above"):

        class Jobs:
            @decorate
            def run(self, argument: Any) -> None: ...

    if not name.startswith("spool"):
        with pytest.raises(TypeError, match="put @staticmethod above"):

            class MoreJobs:
                @decorate
                @classmethod
                def run(cls, argument: Any) -> None: ...


def test_static_methods_and_bound_methods_are_handlers(d: Any, server: Server) -> None:
    """The server may call them as they are."""
    seen: list[Any] = []

    class Jobs:
        def tick(self, signum: int) -> None:
            seen.append((self, signum))

        @staticmethod
        @d.signal(8)
        def static(signum: int) -> None:
            seen.append(signum)

        @d.signal(7)
        def no_self(signum: int) -> None:  # noqa: N805 - a class used as a namespace
            seen.append(signum)

    jobs = Jobs()
    d.signal(9)(jobs.tick)
    for number in (7, 8, 9):
        server.handlers[number][1](number)
    assert seen == [7, 8, (jobs, 9)]


def test_tasks_may_stand_in_a_class(d: Any, server: Server) -> None:
    """As static methods, and as functions of a class that is a namespace, as under uWSGI."""
    seen: list[str] = []

    class Jobs:
        @staticmethod
        @d.spool
        def above(arguments: dict[str, str]) -> None:
            seen.append("above " + arguments["a"])

        @d.spool
        @staticmethod
        def below(arguments: dict[str, str]) -> None:
            seen.append("below " + arguments["a"])

        @d.spool
        def namespace(arguments: dict[str, str]) -> None:  # noqa: N805
            seen.append("namespace " + arguments["a"])

    Jobs.above.spool(a="1")
    Jobs().below.spool(a="2")
    Jobs.namespace.spool(a="3")
    server.run()
    assert sorted(seen) == ["above 1", "below 2", "namespace 3"]


class Robot:
    """Something that can be pickled."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_a_mule_function_may_be_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """The object travels with the call, as any argument; so it must be picklable."""
    here = Server(ours=True)
    sent: list[bytes] = []
    monkeypatch.setattr(here.uwsgi, "mule_msg", lambda message, *_: sent.append(message) or True)
    d = load(monkeypatch, here.uwsgi)
    seen: list[str] = []

    async def walk(self: Robot, metres: int) -> None:
        seen.append(f"{self.name} {metres}")

    monkeypatch.setattr(Robot, "walk", d.mulefunc(walk), raising=False)
    Robot("Marvin").walk(3)  # type: ignore[attr-defined]
    for hook in here.runtime.registry.mule_hooks:
        hook(sent[0])
    assert seen == ["Marvin 3"]


def test_harakiri_without_its_seconds_is_refused(d: Any) -> None:
    """Bare it has no number to go by."""
    with pytest.raises(TypeError, match=r"@harakiri\(30\)"):
        d.harakiri(lambda: None)


def test_lock_for_is_there_on_our_server_only() -> None:
    """The decorators tell the servers apart by it."""
    assert isinstance(Server(ours=True).uwsgi, Surface)
    assert hasattr(Server(ours=True).uwsgi, "lock_for")
    assert not hasattr(Server(ours=False).uwsgi, "lock_for")

"""The decorators: spool, timer, cron, signal, postfork, lock, harakiri, thread and their kin.

They know nothing but the public `uwsgi` module, so they run on muleteer and on uWSGI 2.0 alike.
Not here: the server; without one the decorators import, and a decorated function is a function.

Runs in: anywhere the application is imported.

Rules
1. Importing this module, or a module that uses it, never fails for want of a server.
2. Nothing of ours is imported: uWSGI runs this file, too.
3. A decorated function keeps its name, its docstring and its signature, and its name stays bound.
4. A task's file can be read by uWSGI's own decorators, and theirs by these.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial, update_wrapper, wraps
from typing import Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, overload

try:
    import uwsgi
except ImportError:  # outside the server
    uwsgi = None

__all__ = [
    "Spooled",
    "SpooledCall",
    "cron",
    "erlang",
    "farm",
    "filemon",
    "get_free_signal",
    "harakiri",
    "lock",
    "mstimer",
    "mule",
    "mule_functions",
    "mulefunc",
    "mulemsg",
    "muleloop",
    "postfork",
    "postfork_chain",
    "rbtimer",
    "rpc",
    "signal",
    "spool",
    "spooler_functions",
    "spoolforever",
    "spoolraw",
    "thread",
    "timer",
]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("muleteer.app")


# -- signals and what raises them ----------------------------------------------------------


def signal(num: int, *, target: str = "") -> Callable[[F], F]:
    """Run the function, called with the number, whenever signal `num` is raised.

    `target` says where: '' (any idle worker), 'workerN', 'workers', 'spooler'.
    """

    def register(function: F) -> F:
        if uwsgi is not None:
            uwsgi.register_signal(num, target, function)
        return function

    return register


def timer(secs: float, *, signum: int | None = None, target: str = "") -> Callable[[F], F]:
    """Run the function, called with its signal's number, every `secs` seconds."""
    return _raised_by("add_timer", (secs,), signum, target)


def mstimer(msecs: int, *, signum: int | None = None, target: str = "") -> Callable[[F], F]:
    """Run the function every `msecs` milliseconds."""
    return _raised_by("add_ms_timer", (msecs,), signum, target)


def rbtimer(
    secs: float, *, iterations: int = 0, signum: int | None = None, target: str = ""
) -> Callable[[F], F]:
    """Run the function every `secs` seconds, `iterations` times (0: for ever)."""
    return _raised_by("add_rb_timer", (secs, iterations), signum, target)


def cron(
    minute: int,
    hour: int,
    day: int,
    month: int,
    dayweek: int,
    *,
    signum: int | None = None,
    target: str = "",
) -> Callable[[F], F]:
    """Run the function, called with its signal's number, in every minute that matches.

    -1 is any, -N every Nth; with day and weekday (0 and 7: Sunday) both given either may match.
    """
    return _raised_by("add_cron", (minute, hour, day, month, dayweek), signum, target)


def filemon(path: str, *, signum: int | None = None, target: str = "") -> Callable[[F], F]:
    """Run the function, called with its signal's number, when the file or directory changes."""
    return _raised_by("add_file_monitor", (path,), signum, target)


def _raised_by(
    source: str, arguments: tuple[Any, ...], signum: int | None, target: str
) -> Callable[[F], F]:
    """Register a handler under a free number and let `uwsgi.<source>` raise it."""

    def register(function: F) -> F:
        if uwsgi is not None:
            add_source = getattr(uwsgi, source)  # before a number is spent, should it be missing
            number = _free_signal_for(function) if signum is None else signum
            uwsgi.register_signal(number, target, function)
            add_source(number, *arguments)
        return function

    return register


def get_free_signal() -> int:
    """Return the lowest of the application's numbers, 0 to 255, that nobody registered."""
    for number in range(256):
        if not uwsgi.signal_registered(number):
            return number
    raise RuntimeError("all of the signals 0 to 255 are registered")


def _free_signal_for(function: Callable[..., Any]) -> int:
    """Take a number away from the application's own where the server has such numbers."""
    if hasattr(uwsgi, "free_signal"):
        return int(uwsgi.free_signal(_full_name(function)))
    return get_free_signal()


def rpc(name: str) -> Callable[[F], F]:
    """Let other nodes call the function by `name`."""
    return _registered("register_rpc", name)


def erlang(name: str) -> Callable[[F], F]:
    """Let the function answer to the Erlang process name `name`."""
    return _registered("erlang_register_process", name)


def _registered(register: str, name: str) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        if uwsgi is not None:
            getattr(uwsgi, register)(name, function)
        return function

    return decorate


# -- around one call -------------------------------------------------------------------------


def lock(function: Callable[P, R]) -> Callable[P, R]:
    """Let one call run at a time among all processes of the server (it holds lock 0)."""

    @wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        if uwsgi is None:
            return function(*args, **kwargs)
        uwsgi.lock()
        try:
            return function(*args, **kwargs)
        finally:
            uwsgi.unlock()

    return locked


def harakiri(seconds: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have the process killed when a call takes longer than `seconds`.

    However the call ends, the deadline ends with it (uWSGI's decorator forgets the exceptions).
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def bounded(*args: P.args, **kwargs: P.kwargs) -> R:
            if uwsgi is None:
                return function(*args, **kwargs)
            uwsgi.set_user_harakiri(seconds)
            try:
                return function(*args, **kwargs)
            finally:
                uwsgi.set_user_harakiri(0)

        return bounded

    return decorate


def thread(function: Callable[P, Any]) -> Callable[P, threading.Thread]:
    """Let each call run in a daemon thread of its own, which the call returns."""

    @wraps(function)
    def start(*args: P.args, **kwargs: P.kwargs) -> threading.Thread:
        name = getattr(function, "__name__", None)
        started = threading.Thread(
            target=function, args=args, kwargs=kwargs, name=name, daemon=True
        )
        started.start()
        return started

    return start


# -- after the fork --------------------------------------------------------------------------

postfork_chain: list[Callable[[], Any]] = []
"""What runs in every worker, mule and spooler right after the fork, in this order."""

_mule_bodies: list[Callable[[], Any]] = []
"""What a mule does instead of waiting for messages; after the chain, since it may never return."""


@overload
def postfork(function: Callable[[], R], /) -> Callable[[], R]: ...
@overload
def postfork(worker: int = 0, /) -> Callable[[F], F]: ...
def postfork(function: Any = 0, /) -> Any:
    """Run the function in every new process, or with `@postfork(N)` in worker N only.

    An exception in one function is logged and keeps no other from running.
    """
    if callable(function):
        postfork_chain.append(function)
        return function
    return partial(_append_for_worker, function)


def _append_for_worker(number: int, function: F) -> F:
    postfork_chain.append(partial(_call_in_worker, number, function) if number else function)
    return function


def _call_in_worker(number: int, function: Callable[[], Any]) -> None:
    if uwsgi.worker_id() == number:
        function()


def _run_postfork_chain() -> None:
    for function in list(postfork_chain):
        try:
            function()
        except Exception:
            log.exception("post-fork hook %s raised; the next one runs", _full_name(function))
    for body in list(_mule_bodies):
        body()


# -- mules -----------------------------------------------------------------------------------

mule_functions: dict[str, Callable[..., Any]] = {}
"""The `@mulefunc` functions by name."""


@overload
def mulefunc(function: Callable[P, Any], /) -> Callable[P, None]: ...
@overload
def mulefunc(mule: int | str, /) -> Callable[[Callable[P, Any]], Callable[P, None]]: ...
def mulefunc(function: Any, /) -> Any:
    """Let each call run in a mule: any, number `mule`, or the first idle one of farm `mule`."""
    return _send_to_mule(0, function) if callable(function) else partial(_send_to_mule, function)


def _send_to_mule(mule: int | str | bytes, function: Callable[P, Any]) -> Callable[P, None]:
    if uwsgi is None:
        return function
    send = uwsgi.mule_msg  # a server that cannot says so here, not at the first call
    name = function.__name__
    mule_functions[name] = function
    target = mule.encode() if isinstance(mule, str) else mule

    @wraps(function)
    def call_in_mule(*args: P.args, **kwargs: P.kwargs) -> None:
        message = {"service": "uwsgi_mulefunc", "func": name, "args": args, "kwargs": kwargs}
        data = pickle.dumps(message)
        if not (send(data, target) if target else send(data)):
            raise BlockingIOError(f"{name}: the mule's queue is full; the call was not sent")

    return call_in_mule


def _run_mule_message(data: bytes) -> None:
    """Call the function a message names; the hook the server calls in a mule."""
    message = pickle.loads(data)
    if message["service"] == "uwsgi_mulefunc":
        mule_functions[message["func"]](*message["args"], **message["kwargs"])


def mule(number: int) -> Callable[[F], F]:
    """Let mule `number` run the function instead of waiting for messages."""
    return _mule_body(partial(_call_in_mule, number))


def muleloop(number: int) -> Callable[[F], F]:
    """Let mule `number` run the function again and again."""
    return _mule_body(partial(_loop_in_mule, number))


def mulemsg(number: int) -> Callable[[F], F]:
    """Let mule `number` hand each message it gets to the function."""
    return _mule_body(partial(_listen_in_mule, number))


def farm(name: str) -> Callable[[F], F]:
    """Let the mules of farm `name` hand each message the farm gets to the function."""
    return _mule_body(partial(_listen_in_farm, name))


def _mule_body(run: Callable[[Callable[..., Any]], None]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        if uwsgi is not None:
            _ = uwsgi.mule_get_msg  # a server that cannot says so here
            _mule_bodies.append(partial(run, function))
        return function

    return decorate


def _call_in_mule(number: int, function: Callable[[], Any]) -> None:
    if uwsgi.mule_id() == number:
        function()


def _loop_in_mule(number: int, function: Callable[[], Any]) -> None:
    while uwsgi.mule_id() == number:
        function()


def _listen_in_mule(number: int, function: Callable[[bytes], Any]) -> None:
    while uwsgi.mule_id() == number:
        if message := uwsgi.mule_get_msg():
            function(message)


def _listen_in_farm(name: str, function: Callable[[bytes], Any]) -> None:
    while uwsgi.in_farm(name):
        if message := uwsgi.farm_get_msg():
            function(message)


# -- the spooler -----------------------------------------------------------------------------

spooler_functions: dict[str, Spooled[..., Any]] = {}
"""The spooled functions by name; of two with one name, the later."""

_by_full_name: dict[str, Spooled[..., Any]] = {}
_ambiguous: dict[str, set[str]] = {}

_FULL_NAME = "ud_spool_name"
"""Our own var: module and qualified name, since `ud_spool_func` is a plain name only."""

_SPECIAL = ("spooler", "priority", "at", "body")
_UWSGI_LIMIT = 0xFFFF


Storable = str | bytes | bytearray | memoryview | float | date | timedelta | os.PathLike[str]
"""What a task's value may be; a float stands for an int, too, and a date for a datetime."""


class Spooled(Generic[P, R]):
    """A function whose calls are tasks; it gets what was enqueued as one dict.

    Under a server, calling it enqueues, as uWSGI's own decorator has it, and so does `.spool(…)`;
    `.f(…)` runs it here and now. Without a server calling it runs it.
    """

    __name__: str
    __module__: str
    __qualname__: str

    def __init__(self, function: Callable[P, R], returns: str) -> None:
        update_wrapper(self, function)
        self.f = function
        self._returns = returns
        _remember(self)
        try:
            function.spool = self.spool  # type: ignore[attr-defined]
        except AttributeError:
            pass  # a built-in or a bound method has no room for attributes

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Enqueue (under a server) and return the task's path, or run (without one)."""
        if uwsgi is None:
            return self.f(*args, **kwargs)
        return self._enqueue(self._message(args, kwargs))

    def spool(self, message: Mapping[Any, Any] | None = None, /, **more: Storable) -> bytes:
        """Enqueue a task, a dict, keywords or both, and return its path.

        `at` (Unix seconds, a datetime, a timedelta), `priority`, `spooler` and `body` are the
        spooler's. ValueError names what cannot be stored, and then nothing is.
        """
        return self._enqueue(self._message(() if message is None else (message,), more))

    def run(self, task: dict[str, Any]) -> int:
        """Run one task in the spooler; returns what the spooler is to do with it."""
        returned = self._call(task)
        if "ud_spool_ret" in task:
            return int(task["ud_spool_ret"])
        if not isinstance(returned, int):
            raise TypeError(
                f"{self.__name__} returned {returned!r}; a @spoolraw function returns"
                " uwsgi.SPOOL_OK, uwsgi.SPOOL_RETRY or uwsgi.SPOOL_IGNORE"
            )
        return returned

    def _enqueue(self, message: Mapping[Any, Any]) -> bytes:
        if not hasattr(uwsgi, "spool"):
            self._refuse_without_spooler()
        task = {_stored_key(key): _stored(key, value) for key, value in message.items()}
        task[b"ud_spool_func"] = self.__name__.encode()
        task[_FULL_NAME.encode()] = _full_name(self).encode()
        if self._returns:
            task[b"ud_spool_ret"] = str(getattr(uwsgi, self._returns)).encode()
        _refuse_truncation(task)
        return bytes(uwsgi.spool(task))

    def _refuse_without_spooler(self) -> NoReturn:
        if uwsgi is None:
            raise RuntimeError(
                f"{self.__name__}.spool(): no server runs this code, so there is no spooler; start"
                f" one with `spooler = DIR`, or call {self.__name__}(…) to run it here and now"
            )
        raise RuntimeError(
            f"{self.__name__}.spool(): no spooler is configured; set `spooler = DIR`"
        )

    def _message(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Any, Any]:
        """Return a call as what is enqueued; what was passed is not changed."""
        if not args:
            return {**kwargs}
        if len(args) > 1 or not isinstance(args[0], Mapping):
            raise TypeError(
                f"{self.__name__}.spool() takes one dict and keywords;"
                " for other arguments decorate it with @spool(pass_arguments=True)"
            )
        return {**args[0], **kwargs}

    def _call(self, task: dict[str, Any]) -> Any:
        """Run the function on a task."""
        function: Callable[..., Any] = self.f
        return function({key: _text(value) for key, value in task.items()})


class SpooledCall(Spooled[P, R]):
    """A function whose calls are tasks; it gets the arguments it was called with."""

    @overload  # type: ignore[override]
    def spool(self, *args: P.args, **kwargs: P.kwargs) -> bytes: ...
    @overload
    def spool(self, *args: Any, at: Storable, **kwargs: Any) -> bytes: ...
    @overload
    def spool(self, *args: Any, priority: str | bytes | int, **kwargs: Any) -> bytes: ...
    @overload
    def spool(self, *args: Any, spooler: str | bytes, **kwargs: Any) -> bytes: ...
    @overload
    def spool(self, *args: Any, body: str | bytes, **kwargs: Any) -> bytes: ...
    def spool(self, *args: Any, **kwargs: Any) -> bytes:
        """Enqueue a call, its arguments pickled, and return its task's path.

        `at`, `priority`, `spooler` and `body` are the spooler's and do not reach the function.
        ValueError says what cannot be stored, and then nothing is.
        """
        return self._enqueue(self._message(args, kwargs))

    def _message(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Any, Any]:
        special = {key: kwargs[key] for key in _SPECIAL if key in kwargs}
        extra = kwargs.get("message_dict", {})
        own = {key: kwargs[key] for key in kwargs if key not in (*_SPECIAL, "message_dict")}
        return {**extra, **special, "args": self._pickled(args), "kwargs": self._pickled(own)}

    def _pickled(self, arguments: tuple[Any, ...] | dict[str, Any]) -> bytes:
        try:
            return pickle.dumps(arguments)
        except Exception as error:  # an object's own code decides what it raises
            raise ValueError(f"{self.__name__}.spool(): {error}; pass a name or an id") from error

    def _call(self, task: dict[str, Any]) -> Any:
        """Run the function; only one that asked for pickles has any opened."""
        if "args" not in task or "kwargs" not in task:
            raise ValueError(
                f"{self.__name__} has pass_arguments=True, and the task was enqueued without it"
            )
        function: Callable[..., Any] = self.f
        return function(*pickle.loads(task["args"]), **pickle.loads(task["kwargs"]))


@overload
def spool(function: Callable[P, R], /) -> Spooled[P, R]: ...
@overload
def spool(*, pass_arguments: Literal[True]) -> Callable[[Callable[P, R]], SpooledCall[P, R]]: ...
@overload
def spool(
    *, pass_arguments: Literal[False] = False
) -> Callable[[Callable[P, R]], Spooled[P, R]]: ...
def spool(function: Any = None, /, *, pass_arguments: bool = False) -> Any:
    """Let calls be tasks that are done once the function returned; an exception runs them again.

    The function gets one dict: what was enqueued, and `spooler_task_name`. Values are text, or
    bytes where they are no UTF-8. With `pass_arguments=True` it gets the arguments themselves.
    """
    return _spooled(function, "SPOOL_OK", pass_arguments)


@overload
def spoolforever(function: Callable[P, R], /) -> Spooled[P, R]: ...
@overload
def spoolforever(
    *, pass_arguments: Literal[True]
) -> Callable[[Callable[P, R]], SpooledCall[P, R]]: ...
@overload
def spoolforever(
    *, pass_arguments: Literal[False] = False
) -> Callable[[Callable[P, R]], Spooled[P, R]]: ...
def spoolforever(function: Any = None, /, *, pass_arguments: bool = False) -> Any:
    """Let calls be tasks that are run again and again, at the spooler's frequency."""
    return _spooled(function, "SPOOL_RETRY", pass_arguments)


@overload
def spoolraw(function: Callable[P, int], /) -> Spooled[P, int]: ...
@overload
def spoolraw(
    *, pass_arguments: Literal[True]
) -> Callable[[Callable[P, int]], SpooledCall[P, int]]: ...
@overload
def spoolraw(
    *, pass_arguments: Literal[False] = False
) -> Callable[[Callable[P, int]], Spooled[P, int]]: ...
def spoolraw(function: Any = None, /, *, pass_arguments: bool = False) -> Any:
    """Let calls be tasks; the function's SPOOL_OK, SPOOL_RETRY or SPOOL_IGNORE ends each run."""
    return _spooled(function, "", pass_arguments)


def _spooled(function: Any, returns: str, pass_arguments: bool) -> Any:
    kind = SpooledCall if pass_arguments else Spooled
    if function is None:
        return lambda function: kind(function, returns)
    if not callable(function):
        raise TypeError(f"@spool decorates a function, not {function!r}")
    return kind(function, returns)


def _remember(new: Spooled[..., Any]) -> None:
    """Make a function known to the spooler; say so when its plain name has another one already."""
    name, full_name = new.__name__, _full_name(new)
    known = spooler_functions.get(name)
    if known is not None and not _same_source(known.f, new.f):
        _ambiguous.setdefault(name, {_full_name(known)}).add(full_name)
        log.warning(
            "two spooled functions are called %s: %s; tasks that uWSGI's own decorators enqueued"
            " for one of them cannot be told apart: rename one",
            name,
            " and ".join(sorted(_ambiguous[name])),
        )
    spooler_functions[name] = _by_full_name[full_name] = new


def _same_source(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Is it one function, from a module that was imported again or under a second name?"""
    return _place(one) == _place(other)


def _place(function: Callable[..., Any]) -> object:
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_qualname) if code else _full_name(function)


def manage_spool_request(task: Mapping[Any, Any]) -> int:
    """Run one task: the hook the server calls in a spooler."""
    decoded = {_text(key): value for key, value in task.items()}
    full_name = _text(decoded.pop(_FULL_NAME, b""))
    if "ud_spool_func" not in decoded:
        return _pass_on(task)
    return _function_for(full_name, _text(decoded["ud_spool_func"])).run(decoded)


def _function_for(full_name: str, name: str) -> Spooled[..., Any]:
    """Find by the full name, else by the plain one: uWSGI's tasks have it, functions may move."""
    if full_name in _by_full_name:
        return _by_full_name[full_name]
    if name in _ambiguous:
        raise LookupError(
            f"the task is for one of {', '.join(sorted(_ambiguous[name]))}, and does not say which"
        )
    if name not in spooler_functions:
        raise LookupError(
            f"the task is for {full_name or name}, and no spooled function of that name is imported"
            f" in the spooler; it has: {', '.join(sorted(_by_full_name)) or 'none'};"
            " set `import = MODULE`"
        )
    return spooler_functions[name]


def _pass_on(task: Mapping[Any, Any]) -> int:
    """A task of plain `uwsgi.spool`: for the hook the application had set before us, if it did."""
    if _spooler_before is None:
        raise LookupError(
            "the task names no function (ud_spool_func): it was made by uwsgi.spool() itself;"
            " assign your own function to uwsgi.spooler to run such tasks"
        )
    return int(_spooler_before(task))


# -- what tasks hold -------------------------------------------------------------------------


def _text(value: Any) -> Any:
    """Decode UTF-8; bytes that are none stay bytes (uWSGI's decorators fail for ever on those)."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _stored_key(key: Any) -> bytes:
    if isinstance(key, str):
        return _encoded(key, key)
    if isinstance(key, bytes):
        return key
    raise ValueError(f"spool: the key {key!r} is of type {type(key).__name__}; use str or bytes")


def _stored(key: Any, value: Any) -> bytes:
    """Return the bytes a value is stored as; ValueError names the key when there are none."""
    if key in ("at", b"at"):
        value = _due(value)
    if isinstance(value, str):
        return _encoded(key, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value + 0).encode()  # + 0: of an IntEnum the number
    if isinstance(value, date):
        return value.isoformat().encode()
    if isinstance(value, os.PathLike):
        return os.fsencode(value)
    raise ValueError(
        f"spool: the value of {key!r} is of type {type(value).__name__} and cannot be stored;"
        " str, bytes, numbers, dates and paths are; @spool(pass_arguments=True) takes any object"
    )


def _encoded(key: Any, text: str) -> bytes:
    """UTF-8; what `os.fsdecode` made of odd file names becomes their bytes again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"spool: {key!r} holds text that is no Unicode: {error}") from None


def _due(value: Any) -> Any:
    """Turn a due time into Unix seconds; a naive `datetime` is local time."""
    if isinstance(value, timedelta):
        value = datetime.now(UTC) + value
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        value = value.timestamp()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refuse_truncation(task_vars: Mapping[bytes, bytes]) -> None:
    """Refuse what uWSGI would cut off without a word; muleteer takes any size."""
    if hasattr(uwsgi, "muleteer_version"):
        return
    for key, value in task_vars.items():
        if len(value) > _UWSGI_LIMIT and key != b"body":
            raise ValueError(
                f"spool: {key.decode()!r} has {len(value)} bytes, and uWSGI cuts values off at"
                f" {_UWSGI_LIMIT}; put it into `body` or into a file"
            )


def _full_name(function: Any) -> str:
    if isinstance(function, partial):
        function = function.args[-1]
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', function)}"


# -- the server's hooks ----------------------------------------------------------------------


def _chained(before: Callable[[], Any] | None) -> Callable[[], None]:
    """Run the hook the application had set before this module was imported, then our chain."""
    if before is not None:
        postfork_chain.insert(0, before)
    return _run_postfork_chain


_spooler_before: Callable[[Mapping[Any, Any]], Any] | None = None

if uwsgi is not None:
    _spooler_before = getattr(uwsgi, "spooler", None)
    uwsgi.spooler = manage_spool_request
    uwsgi.post_fork_hook = _chained(getattr(uwsgi, "post_fork_hook", None))
    if not hasattr(uwsgi, "mule_msg_hook"):
        uwsgi.mule_msg_hook = _run_mule_message

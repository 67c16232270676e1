"""Functions that run in mules: mulefunc, mule, muleloop, mulemsg, farm.

Runs in: declared where the application is imported; run in a mule.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, overload

from muleteer.decorators.forks import bodies
from muleteer.decorators.names import Names
from muleteer.decorators.running import plain, runnable
from muleteer.decorators.server import full_name, log, on_function, uwsgi

__all__ = ["farm", "mule", "mule_functions", "mulefunc", "muleloop", "mulemsg"]

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

mule_functions: dict[str, Callable[..., Any]] = {}
"""The `@mulefunc` functions by name; of two with one name, the later."""

_by_name: Names[Callable[..., Any]] = Names("mule", "message")
_SERVICE = "uwsgi_mulefunc"


@overload
def mulefunc(function: Callable[P, Any], /) -> Callable[P, None]: ...
@overload
def mulefunc(mule: int | str, /) -> Callable[[Callable[P, Any]], Callable[P, None]]: ...
def mulefunc(function: Any, /) -> Any:
    """Let each call run in a mule: any, number `mule`, or the first idle one of farm `mule`."""
    if isinstance(function, int | str | bytes):
        return partial(_mulefunc, function)
    return _mulefunc(0, function)


def _mulefunc(mule: int | str | bytes, function: Any) -> Any:
    return on_function(partial(_send_to_mule, mule), function, "mulefunc")


def _send_to_mule(mule: int | str | bytes, function: Callable[P, Any]) -> Callable[P, None]:
    if uwsgi is None:
        return plain(function)
    send = uwsgi.mule_msg  # a server that cannot says so here, not at the first call
    _remember(function)
    to = (mule.encode() if isinstance(mule, str) else mule,) if mule else ()

    @wraps(function)
    def call_in_mule(*args: P.args, **kwargs: P.kwargs) -> None:
        if not send(_message(function, args, kwargs), *to):
            raise BlockingIOError(
                f"{function.__name__}: the mule's queue is full, or the message too large for"
                " uWSGI; the call was not sent"
            )

    return call_in_mule


def _message(function: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
    """A call as uWSGI's decorators send it, and the full name besides."""
    call = {"service": _SERVICE, "func": function.__name__, "args": args, "kwargs": kwargs}
    try:
        return pickle.dumps({**call, "name": full_name(function)})
    except Exception as error:  # an object's own code decides what it raises
        raise ValueError(f"{function.__name__}: {error}; pass a name or an id") from error


def _remember(function: Callable[..., Any]) -> None:
    """Make a function known to the mules; the first one brings the hook that listens for calls."""
    if not mule_functions:
        _listen()
    mule_functions[function.__name__] = function
    _by_name.add(function, function)


def _listen() -> None:
    """Take a place beside the application's hook, or before it where there is one place only."""
    if hasattr(uwsgi, "install_mule_msg_hook"):
        uwsgi.install_mule_msg_hook(partial(_run_mule_message, None))
    else:
        before = getattr(uwsgi, "mule_msg_hook", None)
        uwsgi.mule_msg_hook = partial(_run_mule_message, before)


def _run_mule_message(before: Callable[[bytes], Any] | None, data: bytes) -> None:
    """Make the call that a message is; another message is for the hook that was there before us."""
    call = _opened(data)
    if call is not None:
        function = _by_name.find(call.get("name", ""), call["func"])
        plain(function)(*call["args"], **call["kwargs"])
    elif before is not None:
        before(data)


def _opened(data: bytes) -> dict[str, Any] | None:
    """Return the call in a message, None when it is the application's own."""
    if _SERVICE.encode() not in data:
        return None
    call = pickle.loads(data)
    return call if isinstance(call, dict) and call.get("service") == _SERVICE else None


def mule(number: int) -> Callable[[F], F]:
    """Let mule `number` run the function instead of waiting for messages."""
    return _mule_body("mule", partial(_call_in_mule, number))


def muleloop(number: int) -> Callable[[F], F]:
    """Let mule `number` run the function again and again."""
    return _mule_body("muleloop", partial(_loop_in_mule, number))


def mulemsg(number: int) -> Callable[[F], F]:
    """Let mule `number` hand each message it gets to the function."""
    return _mule_body("mulemsg", partial(_listen_in_mule, number))


def farm(name: str) -> Callable[[F], F]:
    """Let the mules of farm `name` hand each message the farm gets to the function."""
    return _mule_body("farm", partial(_listen_in_farm, name))


def _mule_body(decorator: str, run: Callable[[Callable[..., Any]], None]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        body = runnable(function, decorator)
        if uwsgi is not None:
            _ = uwsgi.mule_get_msg  # a server that cannot says so here
            bodies.append(partial(run, body))
        return function

    return decorate


def _call_in_mule(number: int, function: Callable[[], Any]) -> None:
    if uwsgi.mule_id() == number:
        _run_or_leave(function)


def _loop_in_mule(number: int, function: Callable[[], Any]) -> None:
    leave_if_asked = getattr(uwsgi, "leave_if_asked", bool)  # uWSGI has none and needs none
    while uwsgi.mule_id() == number:
        leave_if_asked()
        _run_or_leave(function)


def _run_or_leave(function: Callable[[], Any]) -> None:
    """Run a mule's own function; when it raises, the mule leaves and the server forks a new one."""
    try:
        function()
    except Exception:  # noqa: BLE001 - the application's own code
        log.exception("%s raised in its mule, which leaves", full_name(function))
        raise SystemExit(1) from None


def _listen_in_mule(number: int, function: Callable[[bytes], Any]) -> None:
    while uwsgi.mule_id() == number:
        if message := uwsgi.mule_get_msg():
            _hand_over(message, function)


def _listen_in_farm(name: str, function: Callable[[bytes], Any]) -> None:
    while uwsgi.in_farm(name):
        if message := uwsgi.farm_get_msg():
            _hand_over(message, function)


def _hand_over(message: bytes, function: Callable[[bytes], Any]) -> None:
    """Run the function, or the call that a `@mulefunc` sent to whichever mule listens.

    uWSGI's own decorators hand the function the call's pickle, and its exception ends the listening
    for good.
    """
    try:
        _run_mule_message(function, message)
    except Exception:  # noqa: BLE001 - the application's own code
        log.exception("%s raised at a message; the next one is waited for", full_name(function))

"""Functions that run in mules: mulefunc, mule, muleloop, mulemsg, farm.

Runs in: declared where the application is imported; run in a mule.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, overload

from muleteer.decorators.forks import bodies
from muleteer.decorators.server import uwsgi

__all__ = ["farm", "mule", "mule_functions", "mulefunc", "muleloop", "mulemsg"]

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

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
            bodies.append(partial(run, function))
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


if uwsgi is not None and not hasattr(uwsgi, "mule_msg_hook"):
    uwsgi.mule_msg_hook = _run_mule_message

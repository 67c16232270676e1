"""`uwsgi`'s calls by name: register_rpc, call, rpc, rpc_list.

Not here: the way to another node (`rpc`), and the answering of one (`serve.modifiers`).
Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from muleteer.errors import RpcError
from muleteer.rpc.caller import Caller
from muleteer.rpc.functions import call_here, name_of
from muleteer.runtime import Runtime

__all__ = ["Rpc"]


class Rpc:
    """The RPC functions of `uwsgi`.

    Arguments and results are bytes, text (which arrives as its UTF-8 bytes, in both directions),
    and between muleteers also what JSON has: numbers, bool, None, lists, dicts with text keys.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._caller = Caller()

    def register_rpc(
        self, name: str | bytes, function: Callable[..., Any], argc: int = 0, /
    ) -> bool:
        """Let others call `function` by `name`; returns True.

        A second function of a name replaces the first. At import every process gets it, after the
        fork this one alone; mules and spoolers may register for themselves. There may be as many
        as you like (uWSGI: 64). `argc` is taken and ignored, as by uWSGI. ValueError for an empty
        name and for what is no callable.
        """
        key = name_of(name)
        if not callable(function):
            raise RpcError(f"register_rpc({name!r}): {function!r} is not callable")
        self._runtime.registry.rpc[key] = function
        return True

    def rpc_list(self) -> tuple[bytes, ...]:
        """Return the names of all functions that can be called in this process."""
        return tuple(self._runtime.registry.rpc)

    def call(self, name: str | bytes, /, *args: Any) -> Any:
        """Call a function in this process and return its result.

        ValueError (RpcError) when there is none of that name or it raises, where uWSGI returns
        None, as for a function that returns None.
        """
        return call_here(self._runtime.registry.rpc, name_of(name), args)

    def rpc(
        self,
        node: str | bytes | None,
        name: str | bytes,
        /,
        *args: Any,
        timeout: float | None = None,
    ) -> Any:
        """Call a function on another node and return its result.

        `node` is `host:port`, a socket's path or `@abstract`; None or '' is this process, as
        `call`. Blocks for at most `timeout` seconds (`socket-timeout` unless given; a local call
        has none). Whatever goes wrong is a ValueError that says what, where uWSGI returns None:
        UnknownFunction, CallFailed (it raised there), NodeUnreachable, NodeTimeout (both also
        OSError), RpcError (the arguments cannot be sent to such a node).
        """
        if not node:
            return self.call(name, *args)
        where = os.fsdecode(node)
        patience = self._runtime.settings.socket_timeout if timeout is None else timeout
        prepare = self._runtime.stage.before_waiting
        if prepare is not None:
            prepare()
        return self._caller.call(where, name_of(name), args, patience)

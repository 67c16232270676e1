"""`uwsgi`'s Erlang functions: erlang_register_process, erlang_connect, erlang_rpc ...

Not here: the protocol and the connections (`erlang`), and the node's own process (`roles.gateway`).
Runs in: the zygote, at import; every child.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from muleteer.erlang.client import ErlangClient, connect
from muleteer.erlang.identity import chosen_cookie
from muleteer.errors import ErlangError
from muleteer.runtime import Runtime
from muleteer.wire.terms import Pid

__all__ = ["Erlang", "Line"]


class Line(int):
    """The number of a connection, as uWSGI's `erlang_connect` returns one."""

    pid: Pid
    """Where answers come to: put it into messages."""
    node: str
    """The node at the other end."""


class Erlang:
    """The Erlang functions of `uwsgi`; they need no option but a cookie."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lines: dict[int, ErlangClient] = {}
        self._numbers = itertools.count(1)

    def erlang_register_process(self, name: str, function: Callable[..., Any], /) -> None:
        """Let `function(message)` have each message that is sent to `{name, Node}`.

        Its result answers a `gen_server:call`. At import only: it runs in the gateway. ValueError
        for what is no callable, and after the fork.
        """
        if not callable(function):
            raise ErlangError(f"erlang_register_process({name!r}): {function!r} is not callable")
        if self._runtime.forked:
            raise ErlangError(
                f"erlang_register_process({name!r}): the node's process is forked already;"
                " register while the application is imported"
            )
        self._runtime.registry.erlang[name] = function

    def erlang_connect(self, node: str, /, timeout: float = 7.0) -> Line:
        """Connect to a node and return the connection's number; it has `.pid` and `.node`.

        Blocks up to `timeout` seconds. ValueError when the node is not there or refuses us.
        """
        settings = self._runtime.settings
        alive = (settings.erlang or "muleteer").partition("@")[0]
        cookie = chosen_cookie(settings.erlang_cookie)
        client = connect(node, cookie, alive=alive, timeout=timeout)
        line = Line(next(self._numbers))
        line.pid, line.node = client.pid, client.node
        self._lines[line] = client
        return line

    def erlang_send_message(self, to: int | str, name: Any, message: Any, /) -> int:
        """Send to a registered name or a pid of a node; returns the connection's number.

        `to` is a connection, or a node's name, which is connected first and stays so. Text goes as
        a binary. ValueError for what Erlang has no term for, and when the node is gone.
        """
        line = to if isinstance(to, int) else self.erlang_connect(to)
        self._client(line).send(name, message)
        return line

    def erlang_recv_message(self, line: int, /, timeout: float | None = None) -> Any:
        """Wait for the next message of a connection; ValueError after `timeout` seconds."""
        return self._client(line).recv(timeout)

    def erlang_sr(self, to: int | str, name: Any, message: Any, /) -> Any:
        """Send, and wait for the next message."""
        return self.erlang_recv_message(self.erlang_send_message(to, name, message))

    def erlang_rpc(
        self,
        to: int | str,
        module: str,
        function: str,
        arguments: list[Any],
        /,
        timeout: float | None = None,
    ) -> Any:
        """Call a function of a node and return its result, `('badrpc', Reason)` if it failed.

        With a node's name the connection is made for this call alone. ValueError after `timeout`.
        """
        if isinstance(to, int):
            return self._client(to).rpc(module, function, list(arguments), timeout)
        line = self.erlang_connect(to)
        try:
            return self._client(line).rpc(module, function, list(arguments), timeout)
        finally:
            self.erlang_close(line)

    def erlang_close(self, line: int, /) -> None:
        """End a connection; ValueError for one that is not there."""
        client = self._client(line)
        del self._lines[line]
        client.close()

    erlang_send = erlang_send_message
    erlang_recv = erlang_recv_message

    def _client(self, line: int) -> ErlangClient:
        try:
            return self._lines[line]
        except KeyError:
            raise ErlangError(
                f"there is no Erlang connection {line}; erlang_connect makes one"
            ) from None

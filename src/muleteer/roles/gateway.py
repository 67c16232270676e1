"""The gateway: the server's Erlang node, in a process of its own.

Messages to registered names and `rpc:call`s run here, in the node's threads; the node itself is
`erlang`'s.

Runs in: the gateway, after the fork.  Forked by: zygote/forking.py, when `erlang` names a node.
"""

from __future__ import annotations

from typing import Any

from muleteer import journal
from muleteer.erlang.identity import chosen_cookie, full_name
from muleteer.erlang.node import ErlangNode
from muleteer.errors import UnknownFunction
from muleteer.ipc.scoreboard import Row
from muleteer.roles.role import Role
from muleteer.runtime import Runtime

__all__ = ["Gateway"]


class Gateway(Role):
    """The one node of a server."""

    kind = "gateway"

    def __init__(self, runtime: Runtime, row: Row) -> None:
        super().__init__(runtime, row)
        chosen = self.settings
        self._name = full_name(chosen.erlang or "muleteer")
        self._node = ErlangNode(
            self._name,
            chosen_cookie(chosen.erlang_cookie),
            processes=self.registry.erlang,
            call=self._call,
            bind=chosen.erlang_bind,
        )

    def ready(self) -> None:
        """Listen, and be found by name as soon as there is an epmd."""
        self._node.start()
        journal.node_listens(self._name, self._node.port)

    def stop(self) -> None:
        """Leave epmd and hang up; what came is handled for a moment."""
        self._node.stop()

    def _call(self, module: str, function: str, arguments: list[Any]) -> Any:
        """Call an RPC function: `module:function` if one is registered so, else `function`."""
        functions = self.registry.rpc
        found = functions.get(f"{module}:{function}".encode()) or functions.get(function.encode())
        if found is None:
            raise UnknownFunction(f"there is no RPC function {function!r}; register it with @rpc")
        with self.runtime.around():
            return found(*arguments)

"""What every node of ours answers, whoever it is: monitors, links, pings, spawn requests.

The node and the clients derive from it and say which processes there are and who gets what.

Runs in: any process with a node of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from muleteer.erlang.connection import Connection
from muleteer.erlang.conversation import read_gen_call
from muleteer.erlang.identity import Identity
from muleteer.errors import Malformed
from muleteer.wire import distribution
from muleteer.wire.distribution import Message, Op
from muleteer.wire.terms import Atom, Pid, Ref, atom_name

__all__ = ["Address", "LocalNode", "Log", "standard_log"]

Address = Pid | Ref | str
"""Where a message is for: a pid, an alias, a registered name."""

Log = Callable[[int, str], None]
"""Takes a logging level and a sentence."""

NOPROC = Atom("noproc")
KERNEL = "net_kernel"

_logger = logging.getLogger("muleteer")


def standard_log(level: int, sentence: str) -> None:
    """Say it in the server's own log."""
    _logger.log(level, "%s", sentence)


class LocalNode:
    """A node's good manners; every method that begins with `_on` runs in a reader's thread."""

    def __init__(self, identity: Identity, log: Log = standard_log) -> None:
        self.identity = identity
        self.log = log
        self._kernel = identity.new_pid()
        self._unknown: set[int] = set()

    # -- what those who derive from it say --------------------------------------------------

    def is_alive(self, process: Address) -> bool:
        """Is there such a process?"""
        return process == KERNEL or process == self._kernel

    def deliver(
        self, connection: Connection, to: Address, sender: Pid | None, message: Any, size: int
    ) -> None:
        """Hand a message to whom it is for; to nobody, without a word, if there is none."""
        if to == KERNEL:
            self._answer_ping(connection, message)

    def spawn(self, connection: Connection, request: Message, size: int) -> None:
        """Somebody wants a process here: rpc:call and erpc:call do. We do not spawn."""
        self.refuse_spawn(connection, request, "notsup")

    def down(self, ref: Ref, reason: Any) -> None:
        """A process that we monitor ended."""

    # -- from a packet to those ---------------------------------------------------------------

    def take(self, connection: Connection, packet: bytes) -> None:
        """React to one packet; Malformed or TooLarge ends the connection."""
        message = distribution.decode_message(packet)
        react = _REACTIONS.get(message.op)
        if react is None:
            self._say_unknown(connection, message.op)
            return
        if message.broken:
            self.log(
                logging.WARNING,
                f"Erlang: a message of {connection.peer.name} is dropped: {message.broken}",
            )
            if react is LocalNode._on_spawn:
                self.refuse_spawn(connection, message, "badarg")
            return
        react(self, connection, message, len(packet))

    def refuse_spawn(self, connection: Connection, request: Message, reason: str) -> None:
        """Tell who asked that no process was made."""
        ref, caller = request.args[0], request.args[1]
        if isinstance(ref, Ref) and isinstance(caller, Pid):
            connection.write(distribution.not_spawned(ref, caller, reason))

    def _on_send(self, connection: Connection, message: Message, size: int) -> None:
        self.deliver(connection, _address(message.args[1]), None, message.payload, size)

    def _on_send_sender(self, connection: Connection, message: Message, size: int) -> None:
        """Also for aliases: (from, to)."""
        sender, to = message.args[0], message.args[1]
        self.deliver(connection, _address(to), _pid(sender), message.payload, size)

    def _on_reg_send(self, connection: Connection, message: Message, size: int) -> None:
        sender, _, name = message.args[:3]
        self.deliver(connection, _address(name), _pid(sender), message.payload, size)

    def _on_link(self, connection: Connection, message: Message, size: int) -> None:
        theirs, ours = _pid(message.args[0]), _pid(message.args[1])
        if not self.is_alive(ours):
            connection.write(distribution.exited(ours, theirs, NOPROC))

    def _on_unlink(self, connection: Connection, message: Message, size: int) -> None:
        """Acknowledged at once: until then the other side keeps the link in mind."""
        number, theirs, ours = message.args
        if type(number) is not int:
            raise Malformed("an unlink message has no number")
        connection.write(distribution.unlinked(number, _pid(ours), _pid(theirs)))

    def _on_monitor(self, connection: Connection, message: Message, size: int) -> None:
        watcher, process, ref = _pid(message.args[0]), _address(message.args[1]), message.args[2]
        if not isinstance(ref, Ref) or isinstance(process, Ref):
            raise Malformed("a monitor message has no reference or watches none")
        if not self.is_alive(process):
            watched = process if isinstance(process, Pid) else Atom(process)
            connection.write(distribution.monitored(watched, watcher, ref, NOPROC))

    def _on_demonitor(self, connection: Connection, message: Message, size: int) -> None:
        """Also when the caller of an rpc does not wait any more."""
        ref = message.args[2]
        if isinstance(ref, Ref):
            connection.running.pop(ref, None)

    def _on_down(self, connection: Connection, message: Message, size: int) -> None:
        ref, reason = message.args[2], (*message.args, message.payload)[3]
        if isinstance(ref, Ref):
            self.down(ref, reason)

    def _on_spawn(self, connection: Connection, message: Message, size: int) -> None:
        self.spawn(connection, message, size)

    def _on_nothing(self, connection: Connection, message: Message, size: int) -> None:
        """An exit for a process of ours, a group leader: there is nothing to do."""

    def _answer_ping(self, connection: Connection, message: Any) -> None:
        """`net_adm:ping` asks the kernel process whether it may talk to us."""
        call = read_gen_call(message)
        if call is not None and isinstance(call[1], tuple) and call[1][:1] == ("is_auth",):
            answer = call[0].answer(self._kernel, Atom("yes"), use_alias=connection.has_aliases)
            connection.write(answer)

    def _say_unknown(self, connection: Connection, op: int) -> None:
        """Once per number: a newer node may send it with every message."""
        if op not in self._unknown and len(self._unknown) < 100:
            self._unknown.add(op)
            self.log(
                logging.WARNING,
                f"Erlang: {connection.peer.name} sends control message {op}, "
                "which is not known here; such messages are ignored",
            )


def _pid(term: Any) -> Pid:
    if not isinstance(term, Pid):
        raise Malformed("a control message has something else where a pid must be")
    return term


def _address(term: Any) -> Address:
    if isinstance(term, Pid | Ref):
        return term
    name = atom_name(term)
    if name is None:
        raise Malformed("a control message is for neither a pid nor a name")
    return name


_Reaction = Callable[[LocalNode, Connection, Message, int], None]

_REACTIONS: dict[int, _Reaction] = {
    Op.LINK: LocalNode._on_link,
    Op.SEND: LocalNode._on_send,
    Op.SEND_TT: LocalNode._on_send,
    Op.SEND_SENDER: LocalNode._on_send_sender,
    Op.SEND_SENDER_TT: LocalNode._on_send_sender,
    Op.ALIAS_SEND: LocalNode._on_send_sender,
    Op.ALIAS_SEND_TT: LocalNode._on_send_sender,
    Op.REG_SEND: LocalNode._on_reg_send,
    Op.REG_SEND_TT: LocalNode._on_reg_send,
    Op.UNLINK_ID: LocalNode._on_unlink,
    Op.MONITOR_P: LocalNode._on_monitor,
    Op.DEMONITOR_P: LocalNode._on_demonitor,
    Op.MONITOR_P_EXIT: LocalNode._on_down,
    Op.PAYLOAD_MONITOR_P_EXIT: LocalNode._on_down,
    Op.SPAWN_REQUEST: LocalNode._on_spawn,
    Op.SPAWN_REQUEST_TT: LocalNode._on_spawn,
    **dict.fromkeys(
        (
            *(Op.EXIT, Op.EXIT_TT, Op.EXIT2, Op.EXIT2_TT, Op.UNLINK, Op.UNLINK_ID_ACK),
            *(Op.PAYLOAD_EXIT, Op.PAYLOAD_EXIT_TT, Op.PAYLOAD_EXIT2, Op.PAYLOAD_EXIT2_TT),
            *(Op.NODE_LINK, Op.GROUP_LEADER, Op.SPAWN_REPLY, Op.SPAWN_REPLY_TT),
        ),
        LocalNode._on_nothing,
    ),
}

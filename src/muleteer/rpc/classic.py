"""uWSGI's own way of being asked: one packet, one answer, one connection.

Calls, signals and pings; any server of the uwsgi protocol understands them, muleteers too.
Runs in: every child; the zygote, at import; the command line.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from muleteer.errors import (
    CallFailed,
    NodeTimeout,
    NodeUnreachable,
    RpcError,
    SignalError,
    TooLarge,
    WireError,
)
from muleteer.rpc.lines import Line, connect
from muleteer.wire.packet import (
    HEADER_SIZE,
    Modifier,
    decode_header,
    decode_vars,
    encode_array,
    encode_packet,
)

__all__ = ["call_uwsgi", "ping", "send_signal"]

_LONG_RESULT = 5
"""The modifier2 of a result that does not fit a packet: its length comes in the variables."""


def call_uwsgi(node: str, values: Sequence[Any], deadline: float) -> bytes:
    """What the function named by the first of `values` returns; blocks until `deadline` at most.

    RpcError when uWSGI could not take the arguments, CallFailed when it closes without an answer,
    which is all it says of any failure.
    """
    packet = _call_packet(node, values)
    line = connect(node, deadline)
    try:
        line.send(packet, deadline)
        return _result(line, deadline)
    except WireError as error:
        raise RpcError(f"node {node} answered nonsense: {error}") from None
    except NodeTimeout:
        raise
    except OSError:
        raise CallFailed(_silence(node)) from None
    finally:
        line.close()


def send_signal(node: str, number: int, timeout_s: float) -> None:
    """Raise a signal on a node; blocks for at most `timeout_s`.

    NodeUnreachable when nobody answers, SignalError when the node does not take it.
    """
    if not 0 <= number <= 255:
        raise SignalError(f"signal {number}: between nodes a signal is a number from 0 to 255")
    answer = _ask(node, encode_packet(Modifier.SIGNAL, b"", number), timeout_s)
    if not answer:
        raise SignalError(f"signal {number}: node {node} closed without an answer; {_WHY_SILENT}")
    if answer[0] != Modifier.RESPONSE or answer[3] != 1:
        raise SignalError(
            f"signal {number}: node {node} does not take it: its queue is full, or the address"
            " takes no signals; its log says which"
        )


def ping(node: str, timeout_s: float) -> str:
    """The warning a living node has for who pings it, '' for none; NodeUnreachable otherwise."""
    answer = _ask(node, encode_packet(Modifier.PING, b""), timeout_s)
    if len(answer) < HEADER_SIZE or answer[0] != Modifier.PING:
        raise NodeUnreachable(f"node {node} does not answer a ping: it is no uwsgi one")
    return answer[HEADER_SIZE:].decode(errors="replace")


_WHY_SILENT = "it may answer no such packets there, or be another kind of server"


def _ask(node: str, packet: bytes, timeout_s: float) -> bytes:
    """The packet that answers a packet; less of it when the node closes before its end."""
    deadline = time.monotonic() + timeout_s
    line = connect(node, deadline)
    try:
        line.send(packet, deadline)
        head = line.receive_exactly(HEADER_SIZE, deadline)
        if len(head) < HEADER_SIZE:
            return b""
        return head + line.receive_exactly(decode_header(head)[1], deadline)
    except NodeTimeout:
        raise
    except OSError as error:
        raise NodeUnreachable(f"node {node} hung up: {error.strerror or error}") from None
    finally:
        line.close()


def _call_packet(node: str, values: Sequence[Any]) -> bytes:
    for place, value in enumerate(values):
        if not isinstance(value, bytes):
            kind = type(value).__name__
            raise RpcError(
                f"node {node} is a uWSGI: argument {place} is of type {kind}; it takes str and"
                " bytes only"
            )
        if not value:
            raise RpcError(
                f"node {node} is a uWSGI, which loses empty arguments: argument {place} is empty"
            )
    try:
        return encode_packet(Modifier.RPC, encode_array(values))
    except TooLarge:
        size = sum(len(value) + 2 for value in values)
        raise RpcError(
            f"node {node} is a uWSGI, which takes 65535 bytes of arguments; these have {size}"
        ) from None


def _result(line: Line, deadline: float) -> bytes:
    head = line.receive_exactly(HEADER_SIZE, deadline)
    if not head:
        raise CallFailed(_silence(line.node))
    if len(head) < HEADER_SIZE or head[0] != Modifier.RPC:
        raise RpcError(f"node {line.node} answered {head!r}, which is no result")
    _, size, modifier2 = decode_header(head)
    block = _whole(line, size, deadline)
    if modifier2 != _LONG_RESULT:
        return block
    length = dict(decode_vars(block)).get(b"CONTENT_LENGTH", b"")
    if not length.isdigit():
        raise RpcError(f"node {line.node} does not say how long its result is")
    return _whole(line, int(length), deadline)


def _whole(line: Line, size: int, deadline: float) -> bytes:
    data = line.receive_exactly(size, deadline)
    if len(data) < size:
        raise CallFailed(
            f"node {line.node} closed after {len(data)} of the {size} bytes of the result"
        )
    return data


def _silence(node: str) -> str:
    return (
        f"node {node} closed without an answer, which is all a uWSGI says when it does not know the"
        " function, when it raises, when it returns no bytes, and when the call is larger than its"
        " buffer-size; its log may say which"
    )

"""Packets that are no requests: who answers them, and with what.

It knows the ping; what else may be asked of a worker is handed in as a mapping.
Runs in: workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from muleteer.wire.packet import Modifier, Packet, encode_packet

__all__ = ["answer_packet"]

_log = logging.getLogger("muleteer")

PONG = encode_packet(Modifier.PING, b"", 1)


def answer_packet(packet: Packet, handlers: Mapping[int, Callable[[Packet], bytes]]) -> bytes:
    """The reply to send before the connection is closed; nothing for what nobody answers."""
    handler = handlers.get(packet.modifier1)
    if handler is not None:
        try:
            return handler(packet)
        except Exception:  # noqa: BLE001 - the handler runs code that is not ours
            _log.exception("packet with modifier1 %s: its handler raised", packet.modifier1)
            return b""
    if packet.modifier1 == Modifier.PING:
        return PONG
    _log.warning(
        "a packet with modifier1 %s came, which nothing here answers: its connection is closed",
        packet.modifier1,
    )
    return b""

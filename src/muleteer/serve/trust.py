"""Trust: which packets that act in the server are taken on which socket.

A uwsgi socket is a door for web servers; calls, signals and tasks come through it too, and nobody
shows a pass.  So they are taken where only this machine can knock, and elsewhere where the
configuration says so.

Runs in: workers.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from muleteer.wire.packet import Modifier

__all__ = ["EVERYTHING", "is_exposed", "taken_on"]

KINDS = {"rpc": Modifier.RPC, "signal": Modifier.SIGNAL, "spool": Modifier.SPOOL}
EVERYTHING = frozenset(int(modifier) for modifier in KINDS.values())
"""What acts in the server, by its modifier1."""


def taken_on(address: str, declared: Sequence[str], *, exposed: bool) -> frozenset[int]:
    """What is taken on the socket of this address, as its option writes it.

    `declared` are the values of `allow-packets`: what one of them says of the address counts.
    """
    said = [line.split()[1:] for line in declared if line.split()[0] == address]
    if not said:
        return frozenset() if exposed else EVERYTHING
    kinds = {kind for line in said for kind in line}
    if "all" in kinds:
        return EVERYTHING
    return frozenset(int(KINDS[kind]) for kind in kinds if kind in KINDS)


def is_exposed(sock: socket.socket) -> bool:
    """Can other machines reach it?"""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    host = sock.getsockname()[0]
    return not (host.startswith("127.") or host == "::1")

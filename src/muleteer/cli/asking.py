"""Asking a running server for its picture, over the address of its stats.

Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
from typing import Any

from muleteer.cli.exits import Misused
from muleteer.config.sources import load
from muleteer.errors import NodeUnreachable

__all__ = ["add_where", "address_of", "ask"]

_TIMEOUT_S = 5.0
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
"""What a server that speaks HTTP there answers; one that does not does not read it."""


def add_where(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which server it is about; `address_of` understands it."""
    parser.add_argument(
        "where",
        metavar="WHERE",
        help="the server's stats: host:port, a unix socket, or the ini file that names it",
    )


def address_of(where: str) -> str:
    """The stats address of a server: itself, or what an ini file says."""
    if ".ini" not in where:
        return where
    settings = load([where], dict(os.environ), os.getcwd())
    if settings.stats is None:
        raise Misused(f"{where} has no `stats = ADDRESS`; set it and start the server anew")
    if ":" in settings.stats or settings.stats.startswith("@"):
        return settings.stats
    return os.path.join(settings.chdir or os.getcwd(), settings.stats)


def ask(address: str) -> dict[str, Any]:
    """What the server says; NodeUnreachable with the way out when nobody answers, or not so."""
    try:
        answer = _read(address)
    except OSError as error:
        raise NodeUnreachable(
            f"nobody answers on {address}: {error.strerror or error};"
            " is the server there, with `stats` on that address?"
        ) from None
    head, _, body = answer.partition(b"\r\n\r\n") if answer[:5] == b"HTTP/" else (b"", b"", answer)
    try:
        picture = json.loads(body)
        assert isinstance(picture["muleteer"], dict)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise NodeUnreachable(
            f"what answers on {address} is no muleteer's stats: {(head or body)[:60]!r}"
        ) from None
    return dict(picture)


def _read(address: str) -> bytes:
    """Everything that is said there."""
    parts = []
    with _connected(address) as sock:
        sock.sendall(_REQUEST)
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def _connected(address: str) -> socket.socket:
    host, colon, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    if colon and "/" not in host and port.isdigit():
        return socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), _TIMEOUT_S)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(_TIMEOUT_S)
    try:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        sock.close()
        raise
    return sock

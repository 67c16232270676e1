"""Listening sockets: bound once by the master, open through every reload.

It knows addresses and files; what is spoken on a socket is `serve`'s.

Runs in: the master, before the fork.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from dataclasses import dataclass

from muleteer.errors import CannotBind

__all__ = ["Listener", "Owner", "bind", "close", "waiting"]

_TCP_INFO_UNACKED = 24
"""Where `struct tcp_info` has, for a listening socket, how many connections wait in its queue."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, what is spoken on it, and where it lies."""

    sock: socket.socket
    protocol: str
    name: str
    inode: int = 0
    """Of a unix socket's file: only our own file is removed at the end."""
    address: str = ""
    """As it was asked for."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a unix socket is; None: as it came."""

    uid: int | None = None
    gid: int | None = None


_SILENCE_S = 1
"""How long the kernel keeps a client to itself that says nothing."""


def bind(
    address: str,
    protocol: str,
    *,
    backlog: int,
    mode: int | None = None,
    owner: Owner | None = None,
    defers: bool = True,
) -> Listener:
    """Bind and listen; `CannotBind` says why not and what to do.

    `address` is uWSGI's: `host:port`, `:port`, a path, or `@name` (abstract). With `defers` a TCP
    client comes to us with its first bytes, and one that says nothing after a second: a worker
    that is woken has something to read.
    """
    if address.startswith("@"):
        return _bind_unix("\0" + address[1:], address, protocol, backlog, address)
    if ":" in address:
        return _bind_tcp(address, protocol, backlog, defers)
    _remove_stale(address)
    listener = _bind_unix(address, os.path.abspath(address), protocol, backlog, address)
    try:
        _give_away(address, mode, owner)
    except OSError as error:
        close(listener, vacuum=True)
        raise CannotBind(
            f"cannot give {address} away: {error.strerror}; only root can, or remove chown-socket"
        ) from None
    return listener


def _give_away(path: str, mode: int | None, owner: Owner | None) -> None:
    if mode is not None:
        os.chmod(path, mode)
    if owner is not None:
        os.chown(path, *(-1 if who is None else who for who in (owner.uid, owner.gid)))


def close(listener: Listener, *, vacuum: bool) -> None:
    """Close a socket in this process; with `vacuum` its file goes too, if it is still ours."""
    listener.sock.close()
    if vacuum and listener.inode:
        try:
            if os.stat(listener.name).st_ino == listener.inode:
                os.unlink(listener.name)
        except OSError:
            pass  # somebody else tidied up, or put a socket of their own there


def waiting(sock: socket.socket) -> int:
    """Return how many clients wait to be accepted; 0 for unix sockets: the kernel does not say."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or not hasattr(socket, "TCP_INFO"):
        return 0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    return int(struct.unpack_from("=I", info, _TCP_INFO_UNACKED)[0])


def _bind_tcp(address: str, protocol: str, backlog: int, defers: bool) -> Listener:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if defers and hasattr(socket, "TCP_DEFER_ACCEPT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENCE_S)
    _listen(sock, (host, int(port)), address, backlog)
    bound_host, bound_port = sock.getsockname()[:2]
    shown = f"[{bound_host}]" if family == socket.AF_INET6 else bound_host
    return Listener(sock, protocol, f"{shown}:{bound_port}", address=address)


def _bind_unix(path: str, name: str, protocol: str, backlog: int, address: str) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _listen(sock, path, name, backlog)
    inode = 0 if path.startswith("\0") else os.stat(path).st_ino
    return Listener(sock, protocol, name, inode, address)


def _listen(sock: socket.socket, target: object, address: str, backlog: int) -> None:
    try:
        sock.bind(target)  # type: ignore[arg-type]
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise CannotBind(f"cannot listen on {address}: {_reason(error)}") from None
    sock.setblocking(False)


def _reason(error: OSError) -> str:
    way_out = {
        errno.EADDRINUSE: "stop the other server or choose another address",
        errno.EACCES: "choose a port above 1023 or a directory this user may write to",
        errno.ENOENT: "create the directory first",
        errno.EADDRNOTAVAIL: "this machine does not have that address; 127.0.0.1 or 0.0.0.0 work",
    }
    text = error.strerror or str(error)
    hint = way_out.get(error.errno or 0)
    return f"{text}; {hint}" if hint else text


def _remove_stale(path: str) -> None:
    """Remove the socket file of a server that is gone; a living one keeps it and we say so."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise CannotBind(
                f"cannot listen on {path}: a file that is no socket is there; move it away"
            )
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise CannotBind(f"cannot listen on {path}: another server answers there; stop it first")

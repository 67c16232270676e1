"""Options: sockets and what comes in over them.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    not_negative,
    option,
    positive,
    within,
)
from muleteer.config.values import (
    read_address,
    read_allowed_packets,
    read_keepalive,
    read_mode,
    read_owner,
)

__all__ = ["SocketOptions"]


@dataclass(frozen=True, kw_only=True)
class SocketOptions:
    """Where clients reach the server, and what they may send."""

    http_socket: tuple[str, ...] = option(
        (),
        "Address on which the workers answer HTTP/1.1.",
        uwsgi="differs: keep-alive, pipelining and chunked requests work here",
        read=read_address,
        example=":8000",
    )
    http: tuple[str, ...] = option(
        (),
        "The same as http-socket.",
        aliases=("httprouter",),
        uwsgi="differs: the workers answer themselves, there is no router process to go through",
        read=read_address,
        example=":8000",
    )
    http11_socket: tuple[str, ...] = option(
        (),
        "The same as http-socket.",
        uwsgi="same",
        read=read_address,
        example=":8000",
    )
    socket: tuple[str, ...] = option(
        (),
        "Address on which the workers speak the uwsgi protocol, for nginx.",
        aliases=("uwsgi-socket",),
        short="s",
        read=read_address,
        example="127.0.0.1:3031",
    )
    allow_packets: tuple[str, ...] = option(
        (),
        "Packets that are taken on a socket beside requests: rpc, signal, spool, all or none.",
        uwsgi="ours: without it they are taken where no other machine can send them, on unix"
        " sockets and loopback; uWSGI takes them from everybody",
        read=read_allowed_packets,
        example="10.0.0.1:3031 rpc signal",
    )
    listen: int = option(
        1024,
        "How many connections the kernel may hold before a worker takes them.",
        short="l",
        uwsgi="differs: 100 there, and more than the kernel allows ends the start;"
        " here the kernel's limit simply holds",
        check=positive,
    )
    no_defer_accept: bool = option(
        False,
        "Take a TCP connection before its client has said something.",
        uwsgi="differs: a silent client waits in the kernel for socket-timeout there, for a second"
        " here",
    )
    chmod_socket: int | None = option(
        None,
        "File mode of unix sockets, in octal; 666 without a value.",
        aliases=("chmod",),
        short="C",
        read=read_mode,
        bare="666",
        example="660",
    )
    chown_socket: str | None = option(
        None,
        "Owner of unix sockets, as user:group.",
        read=read_owner,
        example="www-data:www-data",
    )
    vacuum: bool = option(
        True,
        "Remove the unix sockets and the pidfile at the end.",
        uwsgi="differs: on, so that nothing is left behind",
    )
    buffer_size: int = option(
        65535,
        "Bytes that the head of a request may have.",
        short="b",
        uwsgi="differs: 4096 there, too little for today's cookies",
        check=within(256, 16 << 20),
    )
    limit_post: int = option(
        0,
        "Bytes that the body of a request may have; 0 for no limit.",
        check=not_negative,
        example="10000000",
    )
    post_buffering: int = option(
        0,
        "Bytes of a body that are kept in memory; longer ones go through a file.",
        uwsgi="differs: a body is always read before the app is called, so that a slow client"
        " holds no worker; the option only moves the limit",
        check=not_negative,
        example="1000000",
    )
    socket_timeout: float = option(
        4.0,
        "Seconds a client may leave us waiting in the middle of a packet or an answer.",
        short="z",
        check=positive,
    )
    http_timeout: float = option(
        60.0,
        "Seconds an HTTP client may take to send a request.",
        uwsgi="differs: there it is the patience of the router with its worker",
        check=positive,
    )
    http_keepalive: float = option(
        60.0,
        "Seconds an idle HTTP connection is kept; 0 or false closes it after the answer.",
        uwsgi="differs: off there, and a switch only",
        read=read_keepalive,
        bare="true",
    )

"""Listening sockets as the kernel keeps them."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from muleteer.ipc.sockets import bind, close

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own, elsewhere not")


def is_awake(sock: socket.socket, *, within_s: float) -> bool:
    """Would a worker that watches the socket be woken?"""
    return bool(select.select([sock], [], [], within_s)[0])


@pytest.mark.parametrize("defers", [True, False])
def test_a_client_comes_with_its_first_bytes_unless_told_otherwise(defers: bool) -> None:
    """A worker is not woken for a client that has nothing to say yet."""
    listener = bind("127.0.0.1:0", "http", backlog=8, defers=defers)
    with socket.create_connection(listener.sock.getsockname()) as client:
        assert is_awake(listener.sock, within_s=0.05 if defers else 5.0) is not defers
        client.sendall(b"GET")
        assert is_awake(listener.sock, within_s=5.0)
        served, _ = listener.sock.accept()
        with served:
            assert served.recv(16) == b"GET"
    close(listener, vacuum=True)


def test_a_client_that_says_nothing_is_taken_after_all() -> None:
    """Its time limit must begin some day, and a client may wait for us to speak first."""
    listener = bind("127.0.0.1:0", "http", backlog=8)
    with socket.create_connection(listener.sock.getsockname()):
        assert is_awake(listener.sock, within_s=10.0)
    close(listener, vacuum=True)

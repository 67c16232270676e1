"""Clients that do what they like: nothing is left of them, and the next one is served."""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.serving import Body, Client, Site, new_file

DATA = Path(__file__).resolve().parents[1] / "data"
HTTP = [path.read_bytes() for path in sorted((DATA / "http").glob("*/*.http"))]
UWSGI = [path.read_bytes() for path in sorted((DATA / "uwsgi").glob("*.bin"))]
LARGE = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000


class Application:
    """Answers in every way there is, and remembers what it must see closed."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.bodies: list[Body] = []
        self.files: list[Any] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"].read(self.dice.choice([0, 10, -1]))
        kind = self.dice.randrange(7)
        if kind == 0:
            raise RuntimeError("on purpose")
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        if kind == 1:
            return [b"x" * self.dice.choice([0, 10, 3_000_000])]
        if kind == 2:
            self.files.append(new_file(b"y" * self.dice.choice([0, 10, 3_000_000])))
            return environ["wsgi.file_wrapper"](self.files[-1])
        if kind == 3:
            write(b"z" * 1000)
        self.bodies.append(Body(self.pieces(kind)))
        return self.bodies[-1]

    def pieces(self, kind: int) -> Iterator[bytes]:
        for _ in range(self.dice.randrange(5)):
            yield b"p" * self.dice.choice([0, 1, 1000, 400_000])
        if kind == 4:
            raise RuntimeError("in the middle, on purpose")


def act(dice: random.Random, client: Client) -> None:
    """One move of a client."""
    match dice.randrange(6):
        case 0 | 1 | 2 if client.data:  # type: ignore[attr-defined]
            size = dice.choice([1, 10, 1000, 1_000_000])
            try:
                sent = client.sock.send(client.data[:size], socket.MSG_DONTWAIT)  # type: ignore[attr-defined]
                client.data = client.data[sent:]  # type: ignore[attr-defined]
            except OSError:
                client.data = b""  # type: ignore[attr-defined]
        case 3:
            client.take()
        case 4 if dice.random() < 0.1:
            if dice.random() < 0.5:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sock.close()
        case 5 if dice.random() < 0.05:
            try:
                client.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass


def new_client(dice: random.Random, site: Site) -> Client:
    protocol = dice.choice(["http", "http", "uwsgi"])
    client = site.connect(protocol, dice.choice([None, 4096]))
    cases = HTTP if protocol == "http" else UWSGI
    client.data = b"".join(dice.choices(cases, k=dice.randrange(1, 4)))  # type: ignore[attr-defined]
    if protocol == "http" and dice.random() < 0.2:
        client.data = LARGE  # type: ignore[attr-defined]
    return client


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_left_of_wild_clients(seed: int, caplog: Any) -> None:
    """Whatever clients and application do, every connection, body and file is closed once."""
    dice = random.Random(seed)
    app = Application(dice)
    descriptors = len(os.listdir("/proc/self/fd"))
    site = Site(app, limit_post=200_000, post_buffering=1000, socket_timeout=0.02)
    clients: list[Client] = []
    for _ in range(3000):
        clients = [client for client in clients if client.sock.fileno() >= 0]
        if len(clients) < 12:
            clients.append(new_client(dice, site))
        act(dice, dice.choice(clients))
        site.turn()
    site.packet({}, modifier1=100)
    for client in clients:
        client.sock.close()
    site.move_clock(100)
    site.move_clock(100)
    assert site.engine.open_connections == 0
    assert site.core.depth == 0
    assert {body.closed for body in app.bodies} <= {1}
    assert all(file.closed for file in app.files)
    assert len(app.bodies) > 10
    site.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    told = [record for record in caplog.records if record.exc_info]
    assert all("on purpose" in str(record.exc_info[1]) for record in told)

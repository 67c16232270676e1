"""Who a node is: its name, its cookie, and the numbers that make its pids its own.

1. A cookie is required, is nobody else's to read, and is never logged.
2. A creation is chance: two lives of one name must not share pids.

Runs in: any process with a node of its own.
"""

from __future__ import annotations

import itertools
import os
import secrets
import stat
import string
from pathlib import Path

from muleteer.errors import BadValue
from muleteer.wire.handshake import Local
from muleteer.wire.terms import Atom, Pid, Ref

__all__ = ["Identity", "chosen_cookie", "full_name", "read_cookie", "split_name"]

_ALIVE = frozenset(string.ascii_letters + string.digits + "_-.")
_HOST = _ALIVE | {":"}
_SERIALS = 1 << 32


def split_name(name: str) -> tuple[str, str]:
    """('py', '127.0.0.1') of `py@127.0.0.1`; BadValue for what no node could reach."""
    alive, _, host = name.partition("@")
    if not alive or not host or not _ALIVE.issuperset(alive) or not _HOST.issuperset(host):
        raise BadValue(f"{name[:80]!r} is no Erlang node name: write it as name@host, in ASCII")
    if len(name) > 255:
        raise BadValue("an Erlang node name has at most 255 characters")
    return alive, host


def full_name(name: str) -> str:
    """`py@host` of `py`: without a host it is this machine's short name, as `erl -sname` has it."""
    return name if "@" in name else f"{name}@{os.uname().nodename.partition('.')[0]}"


def chosen_cookie(option: str | None) -> bytes:
    """The cookie that `erlang-cookie` says, else the one in ~/.erlang.cookie."""
    return option.encode() if option else read_cookie()


def read_cookie(path: Path | None = None) -> bytes:
    """The cookie in a file, ~/.erlang.cookie by default; BadValue says why there is none."""
    path = path or Path.home() / ".erlang.cookie"
    try:
        mode = path.stat().st_mode
        cookie = path.read_bytes()
    except OSError as error:
        raise BadValue(
            f"no Erlang cookie: {path}: {error.strerror}. Set `erlang-cookie`, or write the file"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadValue(f"others may read the Erlang cookie: chmod 600 {path}")
    cookie = cookie.removesuffix(b"\n").removesuffix(b"\r")
    if not cookie:
        raise BadValue(f"the Erlang cookie in {path} is empty")
    return cookie


class Identity:
    """A node's name, cookie and creation; thread-safe."""

    def __init__(self, name: str, cookie: bytes) -> None:
        if not cookie:
            raise BadValue("an Erlang node needs a cookie: set `erlang-cookie`")
        self.alive, self.host = split_name(name)
        self.name = Atom(name)
        self._cookie = cookie
        self.creation = secrets.randbelow(0xFFFFFFFF - 16) + 16  # 0 to 3 had a meaning once
        self._pids = itertools.count(1)
        self._refs = itertools.count(1)

    def __repr__(self) -> str:
        return f"Identity({str(self.name)!r})"

    def local(self) -> Local:
        """Ourselves for one handshake, with a challenge of its own."""
        return Local(self.name, self.creation, self._cookie, secrets.randbits(32))

    def new_pid(self) -> Pid:
        """A pid that this node never gave away before."""
        number = next(self._pids)
        return Pid(self.name, number & 0xFFFFFFF, number >> 28 & 0xFFFFFFFF, self.creation)

    def new_ref(self) -> Ref:
        """A reference, likewise."""
        number = next(self._refs)
        return Ref(self.name, self.creation, (number & 0x3FFFF, number >> 18 & 0xFFFFFFFF, 1))


def client_name(alive: str, host: str, number: int) -> str:
    """A name for one outgoing connection: each pair of names has one connection only."""
    return f"{alive}_{os.getpid()}_{number}@{host}"

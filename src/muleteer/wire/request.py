"""A request, whatever protocol brought it, and the limits it was read under.

It is a value: reading it is the readers' work (http1, uwsgi), answering it is serve's.
Runs in: anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from muleteer.errors import TooLarge, WireError

__all__ = [
    "LENGTH_DIGITS",
    "SCHEMES",
    "Body",
    "Limits",
    "Request",
    "Spill",
    "Unkept",
    "body_too_large",
]

LENGTH_DIGITS = 18
"""No body's length has more; of thousands of digits Python makes no number, but a ValueError."""
SCHEMES = ("http", "https")
"""What X-Forwarded-Proto may say; anything else is nobody's URL."""


class Spill(Protocol):
    """A file that takes a body too large for memory; whoever made it removes it."""

    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send; 0 is no limit."""

    head: int
    """Bytes of the request line and headers, or of a packet's variables (`buffer-size`)."""
    body: int
    """Bytes of the body (`limit-post`)."""
    memory: int
    """Bytes of a body that are kept in memory; a longer one goes into a file."""


class Request:
    """One whole request: its variables are the WSGI environ, less the body."""

    __slots__ = ("body", "is_http", "keep_alive", "method", "protocol", "target", "variables")

    def __init__(
        self,
        variables: dict[str, Any],
        method: str,
        target: str,
        protocol: str,
        body: bytes | Spill,
        keep_alive: bool,
        is_http: bool,
    ) -> None:
        self.variables = variables
        self.method = method
        self.target = target
        self.protocol = protocol
        self.body = body
        self.keep_alive = keep_alive
        self.is_http = is_http  # its answer is framed for HTTP; else the end is the end


class Unkept(WireError):
    """A body could not be written into a file; see the space and the rights of TMPDIR."""

    status = 500


class Body:
    """A body as it arrives: pieces in memory, or a file from `limits.memory` on."""

    __slots__ = ("_limits", "_make_spill", "_pieces", "_spill", "size")

    def __init__(self, limits: Limits, make_spill: Callable[[], Spill]) -> None:
        self._limits = limits
        self._make_spill = make_spill
        self._pieces: list[bytes] = []
        self._spill: Spill | None = None
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Take one more piece; raises TooLarge when the body exceeds its limit."""
        self.size += len(piece)
        if self._limits.body and self.size > self._limits.body:
            raise body_too_large(self._limits)
        if self._spill is not None:
            self._spill.write(piece)
            return
        self._pieces.append(piece)
        if self.size > self._limits.memory:
            self._spill = self._make_spill()
            self._spill.write(b"".join(self._pieces))
            self._pieces.clear()

    def finish(self) -> bytes | Spill:
        """The whole body; call it once, at the end."""
        spill, self._spill = self._spill, None
        if spill is not None:
            return spill
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def discard(self) -> None:
        """Give up a body that will not become whole."""
        self._pieces.clear()
        if self._spill is not None:
            self._spill.close()
            self._spill = None


def body_too_large(limits: Limits) -> TooLarge:
    """The error of a body over `limit-post`."""
    return TooLarge(f"the body is larger than {limits.body} bytes (limit-post)", status=413)

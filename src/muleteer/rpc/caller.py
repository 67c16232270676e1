"""Calls to functions of other nodes: a muleteer on a kept line, a uWSGI packet by packet.

Not here: the frames and packets themselves (`wire`), and functions of this process.
Runs in: every child; the zygote, at import; the command line.

Rules:
1. A call is sent a second time only when it is sure that the first was not taken: after a BYE, or
   when it could not be sent whole on a line that had been idle.
2. What only muleteers understand is sent only to who has said that it is one.
3. A fork's child uses no line of its parent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from muleteer.errors import (
    CallFailed,
    Malformed,
    NodeTimeout,
    NodeUnreachable,
    RpcError,
    TooLarge,
    UnknownFunction,
    WireError,
)
from muleteer.rpc.classic import call_uwsgi
from muleteer.rpc.lines import Line, connect
from muleteer.wire.calls import (
    GREETING,
    HELLO,
    Failure,
    FrameReader,
    Kind,
    as_value,
    decode_values,
    encode_frame,
    encode_values,
)
from muleteer.wire.packet import HEADER_SIZE, decode_header

__all__ = ["Caller"]

_REMEMBERED_S = 60.0
"""How long it is remembered whether a node is a muleteer or a uWSGI."""
_IDLE_S = 30.0
_MOST_IDLE = 8
"""Lines kept per node: as many as threads may call at once without connecting anew."""


class Caller:
    """One process's lines to other nodes; any thread may call."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pid = os.getpid()
        self._idle: dict[str, list[Line]] = {}
        self._nodes: dict[str, tuple[bool, float]] = {}

    def call(self, node: str, name: bytes, args: Sequence[Any], timeout_s: float) -> Any:
        """What the function on `node` returns; blocks for at most `timeout_s`.

        NodeUnreachable, NodeTimeout, UnknownFunction, CallFailed, or a plain RpcError when the
        call cannot be sent to such a node.
        """
        if timeout_s <= 0:
            raise RpcError(f"a timeout of {timeout_s} seconds is none; give more than 0")
        values = [name, *(as_value(value) for value in args)]
        deadline = self._now() + timeout_s
        line = self._kept(node)
        if line is not None:
            answer = self._ask(line, values, deadline)
            if answer is not None:
                return self._meaning(answer, node)
        if self._is_muleteer(node) is False:
            return call_uwsgi(node, values, deadline)
        return self._ask_new(node, values, deadline)

    def close(self) -> None:
        """Hang up every idle line; twice is safe."""
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()

    # -- muleteers ---------------------------------------------------------------------------

    def _ask(self, line: Line, values: Sequence[Any], deadline: float) -> _Answer | None:
        """The answer on a line; None when the call was not taken from it."""
        try:
            line.send(encode_frame(Kind.CALL, encode_values(values)), deadline)
        except (Malformed, TooLarge) as error:
            line.close()
            raise RpcError(f"the call cannot be sent to node {line.node}: {error}") from None
        except NodeTimeout:
            line.close()
            raise
        except OSError:
            line.close()
            return None
        return self._answer(line, deadline)

    def _ask_new(self, node: str, values: Sequence[Any], deadline: float) -> Any:
        """Connect, find out who is there, and call in its own language."""
        while True:
            line = connect(node, deadline)
            if not self._greet(line, deadline):
                line.close()
                return call_uwsgi(node, values, deadline)
            answer = self._ask(line, values, deadline)
            if answer is not None:
                return self._meaning(answer, node)
            if self._now() >= deadline:
                raise NodeTimeout(f"node {node} took no call: it hung up again and again")

    def _greet(self, line: Line, deadline: float) -> bool:
        """Is it a muleteer that is there? Remembered for a while."""
        try:
            line.send(HELLO, deadline)
            head = line.receive_exactly(HEADER_SIZE, deadline)
            size = decode_header(head)[1] if len(head) == HEADER_SIZE else 0
            words = line.receive_exactly(size, deadline)
        except NodeTimeout:
            line.close()
            raise
        except OSError:
            words = b""
        is_muleteer = words.startswith(GREETING)
        self._nodes[line.node] = (is_muleteer, self._now() + _REMEMBERED_S)
        if is_muleteer and words != GREETING:
            line.close()
            refusal = words.removeprefix(GREETING).decode(errors="replace").strip()
            raise RpcError(f"node {line.node}: {refusal}")
        return is_muleteer

    def _answer(self, line: Line, deadline: float) -> _Answer | None:
        """The next answer on a line, which is then kept; None after a BYE."""
        reader = FrameReader()
        try:
            while data := line.receive(deadline):
                frames = list(reader.feed(data))
                if frames:
                    return self._finish(line, frames, reader.is_idle)
        except WireError as error:
            line.close()
            raise RpcError(f"node {line.node} answered nonsense: {error}") from None
        except NodeTimeout:
            line.close()
            raise
        except OSError:
            pass
        line.close()
        raise NodeUnreachable(
            f"node {line.node} closed in the middle of the call: its process died; whether the"
            " function ran is not known"
        )

    def _finish(self, line: Line, frames: list[_Answer], is_whole: bool) -> _Answer | None:
        if is_whole and len(frames) == 1 and frames[0][0] is not Kind.BYE:
            self._keep(line)
        else:
            line.close()
        return None if frames[0][0] is Kind.BYE else frames[0]

    def _meaning(self, answer: _Answer, node: str) -> Any:
        """The result in an answer, or the failure, raised."""
        kind, payload = answer
        try:
            values = decode_values(payload)
            if kind is Kind.RESULT:
                return values[0]
            failure, words = values
            text = f"node {node}: {words.decode(errors='replace')}"
        except (Malformed, ValueError, IndexError, AttributeError) as error:
            raise RpcError(f"node {node} answered nonsense: {error}") from None
        raise UnknownFunction(text) if failure == Failure.UNKNOWN else CallFailed(text)

    # -- what is kept -------------------------------------------------------------------------

    def _kept(self, node: str) -> Line | None:
        """An idle line to the node that is still open, or None."""
        if self._pid != os.getpid():
            self._forget_parents_lines()
        lines = self._idle.get(node)
        while lines:
            try:
                line = lines.pop()
            except IndexError:  # another thread was faster
                return None
            if line.is_quiet:
                return line
            line.close()
        return None

    def _keep(self, line: Line) -> None:
        now = line.idle_since = self._now()
        lines = self._idle.setdefault(line.node, [])
        lines.append(line)
        if len(lines) > _MOST_IDLE or now - lines[0].idle_since > _IDLE_S:
            try:
                lines.pop(0).close()
            except IndexError:  # another thread took it
                pass

    def _forget_parents_lines(self) -> None:
        self._pid = os.getpid()
        self.close()

    def _is_muleteer(self, node: str) -> bool | None:
        """What is remembered of the node; None for nothing."""
        found, until = self._nodes.get(node, (None, 0.0))
        return found if self._now() < until else None


_Answer = tuple[Kind, bytes]

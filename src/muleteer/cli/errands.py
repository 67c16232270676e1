"""What asks a running server for something: `muleteer ping | signal | rpc`.

Runs in: the shell's process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from muleteer.cli.exits import Misused
from muleteer.errors import NodeUnreachable, RpcError, SignalError
from muleteer.rpc.caller import Caller
from muleteer.rpc.classic import ping, send_signal
from muleteer.rpc.functions import name_of

__all__ = ["MISUSED", "REFUSED", "UNREACHABLE", "Errand", "find", "run"]

UNREACHABLE = 1
REFUSED = 2
MISUSED = 3
"""How an errand fails; the numbers are those of uWSGI's `--ping` and `--signal`."""

_TIMEOUT_S = 4.0
_PING_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Errand:
    """One thing to ask of a running server."""

    command: str
    words: list[str]
    timeout_s: float | None = None


def find(arguments: Sequence[str]) -> Errand | None:
    """The errand in the arguments, in our words or in uWSGI's; None when they ask for a server."""
    if arguments and arguments[0] in _ERRANDS:
        return Errand(arguments[0], list(arguments[1:]))
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in ("--ping", "--signal"):
            words = [value] if equals else list(arguments[place + 1 : place + 2])
            if name == "--signal" and words:
                words = list(words[0].rpartition(",")[::2])
            return Errand(name.removeprefix("--"), words, _ping_timeout(arguments))
        if name in ("-h", "--help", "--"):
            break
    return None


def _ping_timeout(arguments: Sequence[str]) -> float | None:
    """What uWSGI's --ping-timeout says."""
    text = " ".join(arguments).replace("=", " ").partition("--ping-timeout ")[2].split(" ")[0]
    return float(text) if text.isdigit() and int(text) else None


def run(errand: Errand) -> int:
    if errand.words[:1] in (["-h"], ["--help"]):
        print(f"usage: {_USAGE[errand.command]}")
        return 0
    try:
        words, timeout_s = _timeout_in(errand)
        return _ERRANDS[errand.command](words, timeout_s)
    except Misused as error:
        print(f"muleteer: {error}; usage: {_USAGE[errand.command]}", file=sys.stderr)
        return MISUSED
    except NodeUnreachable as error:
        print(f"muleteer: {error}", file=sys.stderr)
        return UNREACHABLE
    except (RpcError, SignalError) as error:
        print(f"muleteer: {error}", file=sys.stderr)
        return REFUSED


def _timeout_in(errand: Errand) -> tuple[list[str], float | None]:
    """The words without a leading `--timeout SECONDS`, and those seconds."""
    words = list(errand.words)
    if not words or words[0].partition("=")[0] != "--timeout":
        return words, errand.timeout_s
    _, equals, value = words.pop(0).partition("=")
    if not equals:
        value = words.pop(0) if words else ""
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise Misused(f"--timeout takes seconds above 0, not {value!r}")
    return words, seconds


def _ping(words: Sequence[str], timeout_s: float | None) -> int:
    """0 when a server answers; with a warning it prints that and returns 2, as uWSGI."""
    if len(words) != 1 or not words[0]:
        raise Misused("ping takes an address")
    warning = ping(words[0], timeout_s or _PING_TIMEOUT_S)
    if warning:
        print(f"muleteer: {words[0]} warns: {warning}", file=sys.stderr)
        return REFUSED
    print(f"{words[0]} is there")
    return 0


def _signal(words: Sequence[str], timeout_s: float | None) -> int:
    if len(words) != 2 or not words[0]:
        raise Misused("signal takes an address and a number")
    node, number = words
    if not (number.isascii() and number.isdigit() and int(number) <= 255):
        raise Misused(f"a signal is a number from 0 to 255, not {number!r}")
    send_signal(node, int(number), timeout_s or _TIMEOUT_S)
    print(f"signal {number} delivered to {node}")
    return 0


def _rpc(words: Sequence[str], timeout_s: float | None) -> int:
    if len(words) < 2 or not words[0] or not words[1]:
        raise Misused("rpc takes an address, the name of a function and its arguments")
    node, name, *args = words
    _print(Caller().call(node, name_of(name), args, timeout_s or _TIMEOUT_S))
    return 0


def _print(result: Any) -> None:
    """A result as it is; what is no bytes as JSON."""
    data = result if isinstance(result, bytes) else json.dumps(result).encode()
    sys.stdout.buffer.write(data if data.endswith(b"\n") else data + b"\n")
    sys.stdout.buffer.flush()


_ERRANDS: dict[str, Callable[[Sequence[str], float | None], int]] = {
    "ping": _ping,
    "signal": _signal,
    "rpc": _rpc,
}
_USAGE = {
    "ping": "muleteer ping [--timeout SECONDS] ADDRESS",
    "signal": "muleteer signal [--timeout SECONDS] ADDRESS NUMBER",
    "rpc": "muleteer rpc [--timeout SECONDS] ADDRESS FUNCTION ARG ...",
}

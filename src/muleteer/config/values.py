"""Values with a form of their own: addresses, file modes, seconds, `NAME=VALUE` pairs.

Each function takes the text and returns the value, or raises ValueError with what was expected.

Runs in: anywhere, and touches nothing outside memory.
"""

from __future__ import annotations

import re
from math import inf

__all__ = [
    "read_address",
    "read_allowed_packets",
    "read_any",
    "read_assignment",
    "read_counts",
    "read_deadline",
    "read_farm",
    "read_keepalive",
    "read_mode",
    "read_module",
    "read_mount",
    "read_node",
    "read_owner",
    "read_path_and_signal",
    "read_pattern_and_seconds",
    "read_retries",
    "read_signal_timer",
]

_SIGNAL = r"(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_KEEPALIVE_S = 60.0


def read_any(text: str) -> str:
    """Read text that may be empty."""
    return text


def read_address(text: str) -> str:
    """Read `host:port`, `:port`, `/path.sock`, `relative.sock` or `@abstract`."""
    _refuse_lookalikes(text)
    host, colon, port = text.rpartition(":")
    if text.startswith(("/", "./", "../", "@")) or not colon:
        return text
    if "/" in host:
        return text
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("expected an IPv6 host in brackets, as in [::1]:8000")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"expected a port from 0 to 65535 after the colon, not {port!r}")
    return text


def read_allowed_packets(text: str) -> str:
    """Read an address and what is taken on it, as `10.0.0.1:3031 rpc signal`."""
    address, *kinds = text.split() or [""]
    if not kinds or not {"rpc", "signal", "spool", "all", "none"}.issuperset(kinds):
        raise ValueError("expected an address and some of rpc, signal, spool, all, none")
    return " ".join((read_address(address), *kinds))


def _refuse_lookalikes(text: str) -> None:
    """Refuse what people write when they mean an address."""
    if not text or "\0" in text:
        raise ValueError("expected an address: host:port, :port or the path of a unix socket")
    if "://" in text:
        raise ValueError("expected an address without a scheme")
    if text.isdigit():
        raise ValueError(f"expected an address; a port is written with a colon, as in :{text}")
    if text.startswith("="):
        raise ValueError("expected an address; shared sockets (=0) are not there yet")
    if "," in text or " " in text:
        raise ValueError("expected one address; repeat the option for a second one")


def read_mode(text: str) -> int:
    """Read the three octal digits of a file mode."""
    if not re.fullmatch(r"[0-7]{3}", text):
        raise ValueError("expected three octal digits")
    return int(text, 8)


def read_owner(text: str) -> str:
    """Read `user:group`; each may be a name or a number, and one of them may be missing."""
    if not re.fullmatch(r"[^:\s]+(:[^:\s]*)?|:[^:\s]+", text):
        raise ValueError("expected user:group")
    return text


def read_deadline(text: str) -> float | None:
    """Read seconds after which something is ended; 0 means never and is None."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise ValueError("expected seconds, or 0 for no limit")
    return float(text) or None


def read_retries(text: str) -> float:
    """Read a number of further tries, or `forever`."""
    if text == "forever":
        return inf
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("expected a number of tries, or forever")
    return int(text)


def read_counts(text: str) -> str:
    """Read one number from 1 to 1024, or several of them: `4` or `4 1`."""
    counts = text.replace(",", " ").split()
    if not counts or not all(re.fullmatch(r"[1-9][0-9]{0,3}", one) for one in counts):
        raise ValueError("expected a number above 0, or one for each directory, as in 4 1")
    if any(int(one) > 1024 for one in counts):
        raise ValueError("expected numbers from 1 to 1024")
    return " ".join(counts)


def read_node(text: str) -> str:
    """Read the name of an Erlang node: ASCII, `name` or `name@host`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+(@[A-Za-z0-9_.:-]+)?", text) or len(text) > 200:
        raise ValueError("expected name@host, in ASCII")
    return text


def read_farm(text: str) -> str:
    """Read the name of a farm and the numbers of its mules, as `name:1,2`."""
    if not re.fullmatch(r"[^:\s]+:[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*", text):
        raise ValueError("expected name:number,number")
    return text


def read_signal_timer(text: str) -> str:
    """Read the number of a signal and the seconds between two of it, as `17 30`."""
    if not re.fullmatch(rf"{_SIGNAL}\s+[1-9][0-9]{{0,8}}", text.strip()):
        raise ValueError("expected the number of a signal, 0 to 255, and seconds above 0")
    return text.strip()


def read_path_and_signal(text: str) -> str:
    """Read a path and the number of a signal, as `/tmp/bell 17`."""
    if not re.fullmatch(rf"\S.*\s{_SIGNAL}", text.strip()):
        raise ValueError("expected a path and the number of a signal, 0 to 255")
    return text.strip()


def read_mount(text: str) -> str:
    """Read `/path=value`."""
    path, equals, value = text.partition("=")
    if not path.startswith("/") or not equals or not value or "\0" in text:
        raise ValueError("expected /path=value")
    return text


def read_pattern_and_seconds(text: str) -> str:
    """Read a pattern and seconds, as `\\.css$ 3600`."""
    match = re.fullmatch(r"(\S.*)\s+([0-9]{1,9})", text.strip())
    if match is None:
        raise ValueError("expected a pattern and seconds")
    try:
        re.compile(match[1])
    except re.error as error:
        raise ValueError(f"expected a pattern ({error}) and seconds") from None
    return text.strip()


def read_keepalive(text: str) -> float:
    """Read seconds or a switch: how long an idle connection is kept; 0.0 closes it at once."""
    word = text.lower()
    if word in ("true", "on", "yes", "1"):
        return _KEEPALIVE_S
    if word in ("false", "off", "no", "0"):
        return 0.0
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise ValueError("expected seconds, or true or false")
    return float(text)


def read_assignment(text: str) -> str:
    """Read `NAME=VALUE`; the value may be empty."""
    name, equals, _ = text.partition("=")
    if not name or not equals or "\0" in text:
        raise ValueError("expected NAME=VALUE")
    return text


def read_module(text: str) -> str:
    """Read what names an application: `package.module`, `package.module:callable`."""
    if not text or text.startswith(("/", ".")) or text.endswith(".py"):
        raise ValueError("expected a module, as package.module:callable; a file goes to wsgi-file")
    return text

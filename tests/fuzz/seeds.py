"""What fuzzing begins with: the committed corpus, the wire cases of tests/data, and mutations.

Runs in: the test process, and campaign.py's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from muleteer.wire import calls

__all__ = ["CORPUS", "mutations", "seeds"]

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
"""For each target a folder of named inputs that were fatal once, and a file of lines: the smallest
set that reached as far as a campaign did."""
_DATA = HERE.parent / "data"
_FILES = {
    "http": ("http/valid/*.http", "http/invalid/*.http"),
    "packet": ("uwsgi/*.bin",),
    "spoolfile": ("spool/*.spool",),
}
_SPICES = (
    b"\0",
    b"\xff\xff\xff\xff",
    b"\r\n",
    b"0",
    b"-1",
    b"18446744073709551616",
    b"\x83",
    b"9" * 5000,
)


def seeds(target: str) -> list[bytes]:
    """Everything that is committed for a target."""
    patterns = _FILES.get(target, ())
    found = [path.read_bytes() for pattern in patterns for path in sorted(_DATA.glob(pattern))]
    found += [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    lines = CORPUS / f"{target}.hex"
    if lines.exists():
        found += [bytes.fromhex(line) for line in lines.read_text().splitlines()]
    return [*found, *_written(target)]


def _written(target: str) -> list[bytes]:
    """Seeds that need no file."""
    if target in ("term", "node"):
        lines = (_DATA / "etf" / "vectors.txt").read_text().splitlines()
        terms = [bytes.fromhex(one.split("\t")[1]) for one in lines if not one.startswith("#")]
        if target == "term":
            return terms
        return [len(t).to_bytes(4, "big") + b"\x70" + t for t in terms]
    if target == "call":
        values = calls.encode_values([b"name", "text", 1, 1.5, None, [1, {"a": "b"}]])
        return [calls.encode_frame(kind, values) for kind in calls.Kind]
    return []


def mutations(target: str, seed: int) -> Iterator[bytes]:
    """Endless variations of the seeds, the same for the same number."""
    dice = random.Random(f"{target} {seed}")
    known = seeds(target)
    while True:
        data = bytearray(dice.choice(known))
        for _ in range(dice.randint(1, 4)):
            _spoil(data, dice, known)
        yield bytes(data)


def _spoil(data: bytearray, dice: random.Random, known: list[bytes]) -> None:
    at = dice.randint(0, len(data))
    match dice.randrange(6):
        case 0 if at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        case 1 if at < len(data):
            data[at] = dice.randrange(256)
        case 2:
            data[at:at] = dice.choice(_SPICES)
        case 3:
            del data[at : at + dice.randint(1, 8)]
        case 4:
            data[at : at + 4] = data[: dice.randint(0, 64)]
        case _:
            other = dice.choice(known)
            data[at:] = other[dice.randint(0, len(other)) :]

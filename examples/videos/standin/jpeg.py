"""A small baseline JPEG encoder (ITU T.81): no subsampling, the standard's Huffman tables.

It is here so that the stand-in writes real pictures, not to be fast.

Runs in: the stand-in.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Block = list[float]


@dataclass(frozen=True)
class Picture:
    """Width, height, and red, green, blue bytes, line after line from the top."""

    width: int
    height: int
    pixels: bytes


# Annex K of the standard: quantisation for good quality, and the usual Huffman tables.
LUMA = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
]  # fmt: skip
QUANT = [max(1, value // 3) for value in LUMA]
DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
DC_SYMBOLS = bytes(range(12))
AC_COUNTS = bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125])
AC_SYMBOLS = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25"
    "262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83"
    "8485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3"
    "d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
ZIGZAG = sorted(
    range(64),
    key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8),
)
COSINE = [[math.cos((2 * x + 1) * u * math.pi / 16) / 2 for x in range(8)] for u in range(8)]
COSINE[0] = [math.sqrt(0.125)] * 8


def encode(picture: Picture) -> bytes:
    """The picture as a JPEG file."""
    frame = struct.pack(">BHHB", 8, picture.height, picture.width, 3)
    frame += bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    parts = [
        b"\xff\xd8",
        _segment(0xE0, b"JFIF\0" + struct.pack(">HBHHBB", 0x0101, 0, 1, 1, 0, 0)),
        _segment(0xDB, b"\0" + bytes(QUANT[place] for place in ZIGZAG)),
        _segment(0xC0, frame),
        _segment(0xC4, b"\x00" + DC_COUNTS + DC_SYMBOLS),
        _segment(0xC4, b"\x10" + AC_COUNTS + AC_SYMBOLS),
        _segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0])),
        _entropy_coded(picture),
        b"\xff\xd9",
    ]
    return b"".join(parts)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _entropy_coded(picture: Picture) -> bytes:
    """All blocks: the three components of each in turn, each DC value as a difference."""
    dc, ac = _huffman(DC_COUNTS, DC_SYMBOLS), _huffman(AC_COUNTS, AC_SYMBOLS)
    bits: list[str] = []
    before = [0, 0, 0]
    for blocks in _blocks(picture):
        for component, block in enumerate(blocks):
            values = _quantised(block)
            bits.extend(_coded(values, before[component], dc, ac))
            before[component] = values[0]
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _coded(
    values: Sequence[int], before: int, dc: dict[int, str], ac: dict[int, str]
) -> Iterator[str]:
    size, bits = _magnitude(values[0] - before)
    yield dc[size] + bits
    places = [place for place in range(1, 64) if values[place]]
    for last, place in pairwise([0, *places]):
        run = place - last - 1
        size, bits = _magnitude(values[place])
        yield ac[0xF0] * (run // 16) + ac[run % 16 << 4 | size] + bits
    if not places or places[-1] < 63:
        yield ac[0]


def _magnitude(value: int) -> tuple[int, str]:
    """How many bits a value needs, and the bits; a negative one is written one too low."""
    size = abs(value).bit_length()
    number = value if value >= 0 else value + (1 << size) - 1
    return size, f"{number:0{size}b}" if size else ""


def _huffman(counts: bytes, symbols: bytes) -> dict[int, str]:
    codes, code, place = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[place : place + count]:
            codes[symbol] = f"{code:0{length}b}"
            code += 1
        place, code = place + count, code << 1
    return codes


def _quantised(block: Block) -> list[int]:
    """The block's cosine transform, divided and rounded, in zigzag order."""
    if min(block) == max(block):  # one colour: only the mean is left
        return [round(block[0] * 8 / QUANT[0])] + [0] * 63
    rows = [[sum(map(float.__mul__, c, block[y : y + 8])) for c in COSINE] for y in range(0, 64, 8)]
    columns = list(zip(*rows, strict=True))
    whole = [[sum(map(float.__mul__, c, column)) for column in columns] for c in COSINE]
    return [round(whole[n >> 3][n & 7] / QUANT[n]) for n in ZIGZAG]


def _blocks(picture: Picture) -> Iterator[tuple[Block, Block, Block]]:
    """Each 8 x 8 square as luma and two chromas around zero; the edge is repeated outwards."""
    width, height, data = picture.width, picture.height, picture.pixels
    for top in range(0, height, 8):
        lines = [min(top + y, height - 1) * width for y in range(8)]
        for left in range(0, width, 8):
            places = [(line + min(left + x, width - 1)) * 3 for line in lines for x in range(8)]
            yield _colours([data[place : place + 3] for place in places])


def _colours(pixels: list[bytes]) -> tuple[Block, Block, Block]:
    return (
        [0.299 * r + 0.587 * g + 0.114 * b - 128 for r, g, b in pixels],
        [-0.168736 * r - 0.331264 * g + 0.5 * b for r, g, b in pixels],
        [0.5 * r - 0.418688 * g - 0.081312 * b for r, g, b in pixels],
    )

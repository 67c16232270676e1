"""Makes the example's clips: a few drawn frames in an uncompressed AVI file, by hand.

Real ffmpeg reads them, and so does the stand-in.

Runs in: the command that prepares the demo.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

WIDTH, HEIGHT, FRAMES = 320, 176, 4

Colour = tuple[float, float, float]
Scene = Callable[[float, float, float], Colour]
"""(x, y, time), each from 0 to 1 -> red, green, blue, each from 0 to 1."""


def sunrise(x: float, y: float, time: float) -> Colour:
    """A sun that climbs out of the sea."""
    height = 0.78 - 0.45 * time
    sun = max(0.0, 1.0 - math.hypot((x - 0.5) * 1.86, y - height) * 7.0)
    if y > 0.72:
        glitter = 0.25 * math.sin(90 * y + 25 * x) * max(0.0, 1 - abs(x - 0.5) * 4)
        return 0.10 + 0.35 * time + glitter, 0.16 + 0.16 * time + glitter, 0.34
    glow = min(1.0, sun * 3)
    return 0.35 + 0.55 * y + glow, 0.22 + 0.35 * time * y + glow * 0.8, 0.45 - 0.2 * y * time


def tides(x: float, y: float, time: float) -> Colour:
    """Waves that roll over each other."""
    wave = sum(math.sin(11 * k * y + 7 * x / k + time * 6.28 + k) for k in (1, 2, 3)) / 6 + 0.5
    return 0.05 + 0.25 * wave, 0.25 + 0.5 * wave * (1 - y * 0.5), 0.45 + 0.45 * wave


def comet(x: float, y: float, time: float) -> Colour:
    """A comet on its way past a few stars."""
    dx, dy = (x - 0.15 - 0.7 * time) * 1.86, y - 0.3 - 0.25 * time
    head = max(0.0, 1.0 - math.hypot(dx, dy) * 16)
    tail = math.exp(-abs(dy - dx * 0.36) * 40) * max(0.0, 1 + dx * 1.6) if dx < 0 else 0.0
    place = int(x * WIDTH) * 7919 + int(y * HEIGHT) * 104729
    star = 1.0 if place * 2654435761 % 2**32 > 2**32 * 0.997 else 0.0
    light = head * 2 + tail * 0.8 + star * 0.7
    return 0.03 + light, 0.04 + light * 0.9, 0.14 + 0.12 * y + light * 0.75


SCENES: dict[str, Scene] = {"sunrise.avi": sunrise, "tides.avi": tides, "comet.avi": comet}


def make_clips(folder: Path) -> list[Path]:
    """Draw every clip that is not in the folder yet; return their paths."""
    paths = [folder / name for name in sorted(SCENES)]
    for path in paths:
        if not path.exists():
            path.write_bytes(avi([draw(SCENES[path.name], n / FRAMES) for n in range(FRAMES)]))
    return paths


def draw(scene: Scene, time: float) -> bytes:
    """One frame as AVI has it: blue, green, red; the lowest line first."""
    return bytes(_pixels(scene, time))


def avi(frames: list[bytes]) -> bytes:
    """An AVI file with one uncompressed video stream, one frame a second."""
    size = WIDTH * HEIGHT * 3
    numbers = [1_000_000, size, 0, 0, len(frames), 0, 1, size, WIDTH, HEIGHT, 0, 0, 0, 0]
    main = struct.pack("<14I", *numbers)
    stream = b"vids" + struct.pack("<I I HH 8I", 0, 0, 0, 0, 0, 1, 1, 0, len(frames), size, 0, size)
    stream += struct.pack("<4H", 0, 0, WIDTH, HEIGHT)
    bitmap = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 24, 0, size, 0, 0, 0, 0)
    streams = _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", bitmap))
    movie = b"".join(_chunk(b"00db", frame) for frame in frames)
    header = _list(b"hdrl", _chunk(b"avih", main) + streams)
    return _chunk(b"RIFF", b"AVI " + header + _list(b"movi", movie))


def _pixels(scene: Scene, time: float) -> Iterator[int]:
    for line in reversed(range(HEIGHT)):
        for column in range(WIDTH):
            for part in reversed(scene(column / WIDTH, line / HEIGHT, time)):
                yield min(255, max(0, int(part * 255)))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _list(kind: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", kind + content)

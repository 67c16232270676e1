"""A stand-in for ffmpeg: `ffmpeg -i CLIP image%d.jpg`, and nothing else that ffmpeg can do.

It reads the example's own clips (uncompressed AVI) and writes each frame as a JPEG picture, with
the standard library alone, so that the example runs on a machine without ffmpeg.

Runs in: a process of its own, started by the task through the shell.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from jpeg import Picture, encode

USAGE = "ffmpeg (stand-in): usage: ffmpeg -i CLIP.avi image%d.jpg"


def main(arguments: list[str]) -> int:
    """Encode one clip; the exit code is the shell's."""
    if len(arguments) != 3 or arguments[0] != "-i" or "%d" not in arguments[2]:
        print(USAGE, file=sys.stderr)
        return 2
    clip, pattern = Path(arguments[1]), arguments[2]
    try:
        frames = list(read_frames(clip.read_bytes()))
    except (OSError, ValueError, struct.error) as error:
        print(f"ffmpeg (stand-in): {clip}: {error}", file=sys.stderr)
        return 1
    for number, frame in enumerate(frames, 1):
        Path(pattern % number).write_bytes(encode(frame))
    print(f"ffmpeg (stand-in): {clip}: {len(frames)} pictures, {pattern}", flush=True)
    return 0


def read_frames(data: bytes) -> Iterator[Picture]:
    """The frames of an uncompressed AVI, as rows of (red, green, blue) bytes from the top."""
    if data[:4] != b"RIFF" or data[8:12] != b"AVI ":
        raise ValueError("not an AVI file")
    width = height = 0
    for name, content in _chunks(data, 12):
        if name == b"strf":
            width, height = struct.unpack_from("<ii", content, 4)
        elif name == b"00db":
            yield Picture(width, height, _upright(content, width, height))


def _chunks(data: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Every chunk that is no list, in order, however deep."""
    while start + 8 <= len(data):
        name, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        content = data[start + 8 : start + 8 + size]
        if name == b"LIST":
            yield from _chunks(content, 4)
        else:
            yield name, content
        start += 8 + size + size % 2


def _upright(content: bytes, width: int, height: int) -> bytes:
    """A bitmap has its lowest line first, and blue before red."""
    size = width * 3
    lines = [content[n * size : (n + 1) * size] for n in reversed(range(height))]
    picture = bytearray(b"".join(lines))
    picture[0::3], picture[2::3] = picture[2::3], picture[0::3]
    return bytes(picture)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Word of new files in a spool directory, by inotify where the system has it.

Not here: what the files are. Where there is no inotify, or no more of it, there is no word,
and the store lists its directories when it is told to.
Runs in: a spooler; any process that claims.

Rules
1. Folders are heard of when they are made (uWSGI makes one for a priority it sees first), files
   when they are whole: moved in (our writers) or closed after writing (uWSGI's, which hold their
   lock until then). A claimer's own open and close is also a "closed
   after writing", so a name that is known already is no news then; else two claimers that skip
   each other's tasks would wake each other for ever.
2. When the kernel's queue overflowed, or a directory was removed or moved away, the answer is
   "list everything".
"""

from __future__ import annotations

import ctypes
import errno
import os
from struct import Struct
from typing import Final, NamedTuple

__all__ = ["Arrival", "Arrivals"]

_IN_CLOSE_WRITE: Final = 0x8
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_MOVE_SELF: Final = 0x800
_IN_Q_OVERFLOW: Final = 0x4000
_IN_IGNORED: Final = 0x8000
_IN_ONLYDIR: Final = 0x01000000
_IN_EXCL_UNLINK: Final = 0x04000000
_IN_ISDIR: Final = 0x40000000
_WATCHED: Final = (
    _IN_CREATE | _IN_CLOSE_WRITE | _IN_MOVED_TO | _IN_MOVE_SELF | _IN_ONLYDIR | _IN_EXCL_UNLINK
)
_LOST: Final = _IN_Q_OVERFLOW | _IN_IGNORED | _IN_MOVE_SELF

_EVENT: Final = Struct("iIII")
_BUFFER_BYTES: Final = 65536


class Arrival(NamedTuple):
    """Something appeared in `folder`, which is as it was given to `watch`."""

    folder: bytes
    name: bytes
    moved: bool
    is_folder: bool


class Arrivals:
    """One inotify descriptor over some directories; without inotify an object that hears nothing.

    `fd` is None then.
    """

    def __init__(self) -> None:
        self._folders: dict[int, bytes] = {}
        self.fd = _open_inotify()

    def watch(self, folder: bytes, path: bytes) -> bool:
        """Hear of what appears in the directory at `path` from now on; False when we cannot.

        FileNotFoundError when there is no such directory: that is no want of watches.
        """
        if self.fd is None or _libc is None:
            return False
        descriptor = _libc.inotify_add_watch(self.fd, path, _WATCHED)
        if descriptor < 0:
            number = ctypes.get_errno()
            if number in (errno.ENOENT, errno.ENOTDIR):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return False
        self._folders[descriptor] = folder
        return True

    def take(self) -> list[Arrival] | None:
        """What has appeared since the last call; None when word was lost. Never blocks."""
        arrivals: list[Arrival] = []
        complete = True
        while chunk := self._read():
            complete = self._parse(chunk, arrivals) and complete
            if len(chunk) < _BUFFER_BYTES // 2:
                break
        return arrivals if complete else None

    def close(self) -> None:
        """Hear nothing more. Twice is safe."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def _read(self) -> bytes:
        if self.fd is None:
            return b""
        try:
            return os.read(self.fd, _BUFFER_BYTES)
        except BlockingIOError:
            return b""

    def _parse(self, chunk: bytes, arrivals: list[Arrival]) -> bool:
        """Append what the chunk tells; False when it tells that something is missing."""
        complete, at = True, 0
        while at < len(chunk):
            descriptor, mask, _, size = _EVENT.unpack_from(chunk, at)
            at += _EVENT.size
            name = chunk[at : at + size].rstrip(b"\0")
            at += size
            if mask & _LOST:
                self._folders.pop(descriptor, None)
                complete = False
            elif (folder := self._folders.get(descriptor)) is not None and name:
                moved, is_folder = bool(mask & _IN_MOVED_TO), bool(mask & _IN_ISDIR)
                if is_folder or not mask & _IN_CREATE:
                    arrivals.append(Arrival(folder, name, moved, is_folder))
        return complete


def _load_libc() -> ctypes.CDLL | None:
    """The C library when it has inotify; its prototypes are set once, here."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return None
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    return libc


def _open_inotify() -> int | None:
    """A descriptor, or None: no inotify here, or this user has used up its instances."""
    if _libc is None:
        return None
    fd: int = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    return fd if fd >= 0 else None


_libc = _load_libc()

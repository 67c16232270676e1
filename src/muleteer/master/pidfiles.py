"""The files that say where the server is: the master's pid, which stays the same through reloads.

Runs in: the master.
"""

from __future__ import annotations

import os

from muleteer.config.options import Settings
from muleteer.errors import StartError

__all__ = ["remove_pidfiles", "unusable", "write_pidfiles"]

EARLY = ("pidfile", "safe_pidfile")
"""Written before the user is changed; here a pid is final from the start, so all are safe."""

LATE = ("pidfile2", "safe_pidfile2")


def write_pidfiles(settings: Settings, names: tuple[str, ...] = EARLY + LATE) -> None:
    """Write those that are asked for; StartError when one cannot be."""
    for name in names:
        path = getattr(settings, name)
        if path:
            try:
                with open(path, "w") as file:
                    file.write(f"{os.getpid()}\n")
            except OSError as error:
                raise unusable(settings, name, error) from None


def unusable(settings: Settings, name: str, error: OSError) -> StartError:
    """Make the error for a file that an option names and that cannot be written."""
    return StartError(
        f"{settings.where(name)}: {error.strerror}; create the directory, or name another file"
    )


def remove_pidfiles(settings: Settings) -> None:
    """Remove them at the end, if `vacuum` says so."""
    for name in EARLY + LATE:
        path = getattr(settings, name)
        if path and settings.vacuum:
            try:
                os.unlink(path)
            except OSError:
                pass  # somebody tidied up before us

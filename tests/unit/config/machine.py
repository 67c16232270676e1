"""A machine in memory: what the configuration sees instead of the disk.

Runs in: unit tests.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from muleteer.config.options import Settings
from muleteer.config.sources import load_from

CWD = "/srv/app"
DATA = Path(__file__).resolve().parents[2] / "data" / "ini"
SOMETHING_TO_DO = "--http-socket=:8000"


class Machine:
    """Files and facts that a test made up."""

    def __init__(
        self,
        files: Mapping[str, str | bytes] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.cwd = CWD
        self.environ = dict(environ or {})
        self.files = {
            self.absolute(path): text.encode() if isinstance(text, str) else text
            for path, text in (files or {}).items()
        }

    def absolute(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(CWD, path))

    def read(self, path: str) -> bytes:
        if self.absolute(path) not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[self.absolute(path)]

    def exists(self, path: str) -> bool:
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: str) -> bool:
        return self.absolute(path) in self.files

    def is_dir(self, path: str) -> bool:
        return any(name.startswith(self.absolute(path) + "/") for name in self.files)

    def glob(self, pattern: str) -> list[str]:
        names = [name.removeprefix(CWD + "/") for name in self.files]
        return sorted(name for name in names if fnmatch.fnmatch(name, pattern))

    def inode(self, path: str) -> int:
        return 7

    def fact(self, letter: str) -> str:
        return f"<{letter}>"


def settings_of(ini: str, *argv: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of an `app.ini` with this text; it needs nothing to do of its own."""
    return load_from([SOMETHING_TO_DO, *argv, "app.ini"], Machine({"app.ini": ini}, environ))


def settings_from(*argv: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a command line."""
    return load_from(argv, Machine({}, environ))


def said(settings: Settings) -> Sequence[str]:
    """Return the notices as text."""
    return [str(notice) for notice in settings.notices]

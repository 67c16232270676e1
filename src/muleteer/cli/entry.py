"""`muleteer`: arguments -> settings -> boot -> exit code; or another command's errand.

Runs in: the shell's process, which becomes the master.
"""

from __future__ import annotations

import os
import signal as unix_signals
import sys
from collections.abc import Sequence

from muleteer.cli import errands, reloading, spool, watching
from muleteer.config.reference import shown
from muleteer.config.sources import InfoRequested, load
from muleteer.errors import ConfigError
from muleteer.master.boot import serve

__all__ = ["main"]


_READER_LEFT = 128 + unix_signals.SIGPIPE
"""What a shell calls the end of a program whose reader has gone, as in `| head`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `muleteer` with these arguments; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for the interpreter's own last flush
        return _READER_LEFT
    return code


def _command(arguments: list[str]) -> int:
    if arguments[:1] == ["spool"]:
        return spool.main(arguments[1:])
    if arguments[:1] and arguments[0] in watching.COMMANDS:
        return watching.main(arguments)
    if arguments[:1] == ["reload"]:
        return reloading.main(arguments[1:])
    errand = errands.find(arguments)
    return _server(arguments) if errand is None else errands.run(errand)


def _server(arguments: list[str]) -> int:
    cwd = os.getcwd()
    environ = dict(os.environ)
    try:
        settings = load(arguments, environ, cwd)
    except InfoRequested as asked:
        print(asked)
        return asked.exit_code
    except ConfigError as error:
        print(f"muleteer: {error}", file=sys.stderr)
        return error.exit_code
    if settings.show_config:
        print(shown(settings), flush=True)
    return serve(settings, lambda: load(arguments, environ, cwd, reloading=True), environ)

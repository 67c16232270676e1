"""The command line.

Runs in: the shell's process.
"""

from muleteer.cli.entry import main

__all__ = ["main"]

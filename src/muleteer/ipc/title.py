"""What a process is called in `ps`: uWSGI's words, with the options that change them.

Runs in: every process of the server.
"""

from __future__ import annotations

from setproctitle import setproctitle

from muleteer.config.options import Settings

__all__ = ["name_process", "set_title"]


def name_process(settings: Settings, what: str) -> None:
    """Show in `ps` what this process is: "master", "worker 1", …"""
    set_title(settings.titled(f"muleteer {what}", master=what == "master"))


def set_title(text: str) -> None:
    """Show in `ps` whatever is asked for."""
    setproctitle(text)

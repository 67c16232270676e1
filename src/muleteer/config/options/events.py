"""Options: what the server reloads for, signals it raises, and the Erlang node.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    not_negative,
    option,
)
from muleteer.config.programs import (
    read_touch_exec,
)
from muleteer.config.values import (
    read_node,
    read_path_and_signal,
    read_signal_timer,
)

__all__ = ["ErlangOptions", "ReloadingOptions", "SignalOptions"]


@dataclass(frozen=True, kw_only=True)
class ReloadingOptions:
    """What makes the server reload."""

    touch_reload: tuple[str, ...] = option(
        (),
        "Reload when the file changes.",
        uwsgi="differs: at once, and as every reload here: the old code serves until the new is"
        " loaded",
        example="/run/app.reload",
    )
    touch_chain_reload: tuple[str, ...] = option(
        (),
        "The same: every reload is a chain.",
        example="/run/app.reload",
    )
    fs_reload: tuple[str, ...] = option(
        (),
        "The same for a file or directory.",
        aliases=("fs-brutal-reload",),
        uwsgi="differs: nothing is brutal about it",
        example="/srv/app",
    )
    touch_workers_reload: tuple[str, ...] = option(
        (),
        "Replace the workers when the file changes, with the code that is loaded.",
        uwsgi="differs: one after the other",
        example="/run/app.workers",
    )
    touch_mules_reload: tuple[str, ...] = option(
        (),
        "The same for the mules.",
        uwsgi="differs: each finishes its message",
        example="/run/app.mules",
    )
    touch_spoolers_reload: tuple[str, ...] = option(
        (),
        "The same for the spoolers.",
        uwsgi="differs: each finishes its task; there it is killed after a second",
        example="/run/app.spoolers",
    )
    touch_exec: tuple[str, ...] = option(
        (),
        "File, and a command that runs when it changes.",
        read=read_touch_exec,
        shell=True,
        example="/run/app.mail /srv/app/mail",
    )
    py_autoreload: float = option(
        0.0,
        "For development: reload when a file of the code changes; 0 is off.",
        aliases=("py-auto-reload", "python-autoreload", "python-auto-reload"),
        uwsgi="differs: at once, whatever the number of seconds, for the code of mules and spoolers"
        " too; installed packages are not watched",
        check=not_negative,
        example="1",
    )
    py_auto_reload_ignore: tuple[str, ...] = option(
        (),
        "Module whose changes reload nothing.",
        aliases=(),
        example="settings_local",
    )


@dataclass(frozen=True, kw_only=True)
class SignalOptions:
    """Signals that the server raises by itself."""

    signal_timer: tuple[str, ...] = option(
        (),
        "Raise a signal every so many seconds.",
        aliases=("timer",),
        read=read_signal_timer,
        example="17 30",
    )
    signal_rbtimer: tuple[str, ...] = option(
        (),
        "The same as signal-timer.",
        aliases=("rbtimer",),
        read=read_signal_timer,
        example="17 30",
    )
    touch_signal: tuple[str, ...] = option(
        (),
        "Raise a signal when the file changes.",
        uwsgi="differs: at once, not within a second; and the file need not be there yet",
        read=read_path_and_signal,
        example="/tmp/bell 17",
    )
    fs_signal: tuple[str, ...] = option(
        (),
        "Raise a signal when the file or directory changes.",
        uwsgi="differs: it survives that the file is replaced, and it need not be there yet",
        read=read_path_and_signal,
        example="/srv/inbox 17",
    )
    cron_state: str | None = option(
        None,
        "File that keeps the last runs of cron jobs with catch_up."
        " Default: one in the first spool directory.",
        uwsgi="ours",
        example="/var/lib/app/cron-state",
        path=True,
    )


@dataclass(frozen=True, kw_only=True)
class ErlangOptions:
    """The Erlang node."""

    erlang: str | None = option(
        None,
        "Name of our Erlang node, name@host; no host: this machine's.",
        uwsgi="differs: it works; there it has been broken since 1.9.20",
        read=read_node,
        example="shop@127.0.0.1",
    )
    erlang_cookie: str | None = option(
        None,
        "Cookie of the Erlang nodes; else that of ~/.erlang.cookie.",
        example="A-LONG-RANDOM-TEXT",
    )
    erlang_bind: str = option(
        "127.0.0.1",
        "Address on which the Erlang node listens.",
        uwsgi="ours: loopback unless told otherwise, since all behind the handshake is clear text",
        example="10.0.0.1",
    )

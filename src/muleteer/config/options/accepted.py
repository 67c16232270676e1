"""Options of uWSGI's that are taken and have no effect here.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    option,
)

__all__ = ["AcceptedOptions"]


@dataclass(frozen=True, kw_only=True)
class AcceptedOptions:
    """What uWSGI needs and muleteer does not: taken, and said to have no effect."""

    thunder_lock: bool = option(
        True,
        "Let one worker at a time accept connections.",
        uwsgi="accepted: the kernel wakes one worker for each connection",
    )
    max_vars: int = option(
        64,
        "Slots for the variables of a request.",
        short="v",
        uwsgi="accepted: there is no such limit, only buffer-size",
    )
    plugins: tuple[str, ...] = option(
        (),
        "Plugins to load.",
        aliases=("plugin", "need-plugins", "need-plugin"),
        uwsgi="accepted: there is nothing to load, Python and HTTP are built in",
        example="python3",
    )
    plugins_dir: tuple[str, ...] = option(
        (),
        "Directory of plugins.",
        aliases=("plugin-dir",),
        uwsgi="accepted: there is nothing to load",
        example="/usr/lib/uwsgi",
    )
    autoload: bool = option(
        False,
        "Load the plugins that options need.",
        uwsgi="accepted: there is nothing to load",
    )
    lock_engine: str = option(
        "",
        "Kind of the locks.",
        uwsgi="accepted: locks are robust pthread mutexes, or file locks where there are none",
    )
    check_interval: int = option(
        1,
        "Seconds of the master's cycle.",
        uwsgi="accepted: the master sleeps until something is due",
    )
    offload_threads: int = option(
        0,
        "Threads that send files.",
        aliases=("offload-thread",),
        uwsgi="accepted: a slow client costs a worker a buffer, not its time",
    )
    close_on_exec: bool = option(
        True,
        "Close our descriptors in programs that the app starts.",
        aliases=("close-on-exec2",),
        uwsgi="accepted: they are always closed",
    )
    ignore_sigpipe: bool = option(
        True,
        "Do not report clients that went away.",
        aliases=("ignore-write-errors", "disable-write-exception"),
        uwsgi="accepted: a client that goes away is no error",
    )
    http_auto_chunked: bool = option(
        True,
        "Send answers of unknown length in chunks.",
        uwsgi="accepted: always, to a client that speaks HTTP/1.1",
    )
    http_manage_expect: str = option(
        "true",
        "Answer `Expect: 100-continue`.",
        uwsgi="accepted: always, when the app is about to read the body",
        bare="true",
    )
    http_processes: int = option(
        1,
        "Processes of the HTTP router.",
        aliases=("http-workers",),
        uwsgi="accepted: there is no router process, the workers answer themselves",
    )
    py_call_osafterfork: bool = option(
        True,
        "Tell Python about forks.",
        aliases=("py-call-uwsgi-fork-hooks",),
        uwsgi="accepted: always, the fork is Python's own",
    )
    wsgi_env_behaviour: str = option(
        "holy",
        "Share the WSGI environment between requests or not.",
        aliases=("wsgi-env-behavior",),
        uwsgi="accepted: each request has an environment of its own",
    )

"""Options: the spoolers.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    not_negative,
    one_of,
    option,
    positive,
)
from muleteer.config.values import (
    read_counts,
    read_deadline,
    read_retries,
)

__all__ = ["SpoolerOptions"]


@dataclass(frozen=True, kw_only=True)
class SpoolerOptions:
    """The spoolers and their directories."""

    spooler: tuple[str, ...] = option(
        (),
        "Directory whose tasks our spoolers run.",
        short="Q",
        path=True,
        example="/srv/spool",
    )
    spooler_external: tuple[str, ...] = option(
        (),
        "Directory to put tasks into that another server runs.",
        path=True,
        example="/srv/spool",
    )
    spooler_processes: str = option(
        "1",
        "Spooler processes for each directory; or one number for each, in their order: `4 1`.",
        read=read_counts,
    )
    spooler_frequency: float = option(
        30.0,
        "Seconds after which a task that asked for a retry runs again;"
        " the first wait after a failure.",
        aliases=("spooler-freq",),
        check=positive,
    )
    spooler_retries: float = option(
        25,
        "Times a task that fails is tried again before it goes to dead/; `forever` for no end.",
        uwsgi="ours: there it is tried for ever",
        read=read_retries,
        example="5",
    )
    spooler_backoff: str = option(
        "exponential",
        "How the wait grows with each failure in a row: exponential, linear or fixed.",
        uwsgi="ours",
        check=one_of("exponential", "linear", "fixed"),
        example="linear",
    )
    spooler_max_delay: float = option(
        3600.0,
        "Seconds a failed task waits at most until it is tried again.",
        uwsgi="ours",
        check=positive,
    )
    spooler_sync: str = option(
        "none",
        "What an accepted task survives: `none`, a crash of the server; `data`, a power failure.",
        uwsgi="ours",
        check=one_of("none", "data"),
        example="data",
    )
    spooler_harakiri: float | None = option(
        None,
        "Seconds a task may take before its spooler is killed, which counts as a failure;"
        " 0 for no limit. A function's own `timeout` goes before it.",
        uwsgi="differs: there the task is run again at once, for ever",
        read=read_deadline,
        example="600",
    )
    spooler_chdir: str | None = option(
        None,
        "Directory to change to before each task.",
        example="/srv/app",
    )
    spooler_max_tasks: int = option(
        0,
        "Tasks after which a spooler is replaced; 0 for never.",
        check=not_negative,
        example="1000",
    )
    spooler_ordered: bool = option(
        False,
        "Run tasks in the order of their priority and their names.",
    )
    spooler_max_lifetime: float = option(
        0.0,
        "Seconds after which a spooler is replaced, between two tasks; 0 for never.",
        uwsgi="ours",
        check=not_negative,
        example="3600",
    )
    spooler_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a spooler is replaced after its task.",
        uwsgi="ours",
        check=not_negative,
        example="512",
    )
    spooler_evil_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a spooler is killed in the middle of a task.",
        uwsgi="ours",
        check=not_negative,
        example="1024",
    )
    spooler_cheap: bool = option(
        False,
        "Let spoolers that have nothing to do leave, until there is something.",
        uwsgi="ours: of uWSGI 2.1, which was never released",
    )
    spooler_idle: float = option(
        10.0,
        "Seconds without a task after which a spooler leaves, with spooler-cheap.",
        uwsgi="ours",
        check=positive,
    )
    spooler_signal_as_task: bool = option(
        False,
        "Count signals a spooler handles as tasks, for spooler-max-tasks.",
        uwsgi="ours: of uWSGI 2.1, which was never released",
    )
    spooler_quiet: bool = option(
        False,
        "Do not log each task.",
    )

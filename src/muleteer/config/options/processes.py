"""Options: the processes.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    not_negative,
    option,
    positive,
    within,
)
from muleteer.config.values import (
    read_deadline,
    read_mode,
)

__all__ = ["ProcessOptions"]


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """The processes: how many, for how long, as whom."""

    master: bool = option(
        True,
        "Run a master process; there always is one.",
        short="M",
        uwsgi="accepted: muleteer always has a master process",
    )
    processes: int = option(
        1,
        "Worker processes that serve requests.",
        aliases=("workers",),
        short="p",
        check=within(0, 4096),
        example="4",
    )
    threads: int = option(
        1,
        "Threads in each worker, each with its own loop.",
        check=within(1, 1024),
        example="4",
    )
    enable_threads: bool = option(
        True,
        "Let the app start threads; they always work.",
        short="T",
        uwsgi="accepted: threads always work, also those the app starts at import",
    )
    harakiri: float | None = option(
        None,
        "Seconds a request may take before its worker is killed; 0 for no limit.",
        short="t",
        read=read_deadline,
        example="30",
    )
    harakiri_graceful_timeout: float = option(
        0.0,
        "Seconds between an exception in what runs too long and the kill; 0: no exception.",
        uwsgi="differs: muleteer.DeadlinePassed is raised in the request, the task or the message;"
        " there its worker gets a Unix signal",
        check=not_negative,
        example="5",
    )
    max_requests: int = option(
        0,
        "Requests after which a worker is replaced; 0 for never.",
        short="R",
        check=not_negative,
        example="10000",
    )
    max_requests_delta: int = option(
        0,
        "Requests more for each next worker, so that they are not replaced all at once.",
        check=not_negative,
        example="100",
    )
    min_worker_lifetime: float = option(
        10.0,
        "Seconds before which max-requests and reload-on-rss replace no worker.",
        check=not_negative,
    )
    max_worker_lifetime: float = option(
        0.0,
        "Seconds after which a worker is replaced, one at a time; 0 for never.",
        check=not_negative,
        example="3600",
    )
    max_worker_lifetime_delta: float = option(
        0.0,
        "Seconds more for each next worker.",
        check=not_negative,
        example="60",
    )
    reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a worker is replaced after its request.",
        check=not_negative,
        example="512",
    )
    reload_on_as: int = option(
        0,
        "The same for its address space.",
        check=not_negative,
        example="4096",
    )
    evil_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a worker is killed in the middle of a request.",
        uwsgi="differs: an idle worker is asked to leave; there it is killed, too",
        check=not_negative,
        example="1024",
    )
    evil_reload_on_as: int = option(
        0,
        "The same for its address space.",
        uwsgi="differs: an idle worker is asked to leave; there it is killed, too",
        check=not_negative,
        example="8192",
    )
    mem_collector_freq: float = option(
        3.0,
        "Seconds between two looks at the memory for the evil options.",
        check=positive,
    )
    cheaper: int = option(
        0,
        "Workers that are always there; more come when all are busy. 0: all of `processes` are.",
        check=not_negative,
        example="2",
    )
    cheaper_initial: int = option(
        0,
        "Workers at the start; 0: as many as `cheaper`.",
        check=not_negative,
        example="4",
    )
    cheaper_step: int = option(
        1,
        "Workers that come at a time.",
        check=positive,
    )
    cheaper_overload: int = option(
        3,
        "Seconds all workers must be busy until more come, or have time to spare until one goes.",
        uwsgi="differs: at once when clients wait on a TCP socket, too",
        check=positive,
    )
    cheaper_algo: str = option(
        "busy",
        "How it is told that more workers are needed.",
        uwsgi="accepted: by the time the workers were busy, in requests or on the processor",
        example="spare",
    )
    cheap: bool = option(
        False,
        "Start no worker before the first client comes.",
    )
    idle: float = option(
        0.0,
        "Seconds without a request after which all workers leave, until a client comes; 0: never.",
        check=not_negative,
        example="600",
    )
    die_on_idle: bool = option(
        False,
        "Stop the server after `idle` seconds, for one that is started by its socket.",
    )
    worker_reload_mercy: float = option(
        60.0,
        "Seconds a worker has to finish at a stop or reload before it is killed.",
        check=positive,
    )
    mule_reload_mercy: float = option(
        60.0,
        "The same for a mule.",
        check=positive,
    )
    spooler_mercy: float = option(
        60.0,
        "Seconds a spooler has to finish its task at a stop or reload;"
        " then the task is interrupted, and runs again.",
        uwsgi="ours: uWSGI kills a spooler in the middle of its task",
        check=positive,
    )
    mule_harakiri: float | None = option(
        None,
        "Seconds a mule's message or signal may take; 0 for no limit.",
        uwsgi="differs: there it covers signals only, messages are never ended",
        read=read_deadline,
        example="30",
    )
    lazy_apps: bool = option(
        False,
        "Load the app in each process after its fork, instead of once before.",
        uwsgi="differs: mules and spoolers load it, too, and what it registers is there once; there"
        " the decorators do not work. A reload of code that does not load changes nothing",
    )
    uid: str | None = option(
        None,
        "User that the server runs as, once its sockets are bound.",
        uwsgi="differs: sockets are bound before, so that port 80 is none of its affair; without"
        " gid it has the user's own groups, there it keeps root's",
        example="www-data",
    )
    gid: str | None = option(
        None,
        "Group that the server runs as, once its sockets are bound.",
        uwsgi="differs: sockets are bound before",
        example="www-data",
    )
    add_gid: tuple[str, ...] = option(
        (),
        "Another group that the server is in.",
        example="docker",
    )
    umask: int | None = option(
        None,
        "Permissions that are taken from every new file, in octal.",
        read=read_mode,
        example="027",
    )
    limit_as: int = option(
        0,
        "Megabytes of address space that each process may have; 0 for no limit.",
        check=not_negative,
        example="2048",
    )
    limit_nproc: int = option(
        0,
        "Processes and threads that the server's user may have; 0 for no limit.",
        check=not_negative,
        example="200",
    )
    max_fd: int = option(
        0,
        "Files and connections that each process may have open; 0: as many as it was given.",
        check=not_negative,
        example="4096",
    )
    locks: int = option(
        0,
        "Locks for uwsgi.lock(n) beside number 0.",
        check=within(0, 65535),
    )
    die_on_term: bool = option(
        True,
        "SIGTERM stops the server; it always does.",
        uwsgi="accepted: SIGTERM always stops gracefully, as every supervisor expects; there it"
        " reloads unless this is set",
    )
    no_orphans: bool = option(
        True,
        "End the children with the master; they always end.",
        uwsgi="accepted: children always leave when their master is gone",
    )

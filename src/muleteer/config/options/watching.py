"""Options: what can be watched, and what runs beside the server.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    option,
    positive,
)
from muleteer.config.programs import (
    CronCommand,
    Daemon,
    read_control_daemon,
    read_cron,
    read_cron2,
    read_daemon,
    read_daemon2,
    read_smart_daemon,
    read_smart_daemon2,
    read_unique_cron,
)
from muleteer.config.values import (
    read_address,
    read_deadline,
)

__all__ = ["ProgramOptions", "WatchingOptions"]


@dataclass(frozen=True, kw_only=True)
class WatchingOptions:
    """What can be seen from outside."""

    stats: str | None = option(
        None,
        "Address on which the server shows itself, as uWSGI's JSON, to whoever connects.",
        aliases=("stats-server",),
        uwsgi="differs: there is more in it (mules, queues, backlogs, the clock, generations),"
        " and a slow reader does not hold the master up",
        read=read_address,
        example="127.0.0.1:9191",
    )
    stats_http: bool = option(
        False,
        "Answer on the stats address in HTTP.",
        uwsgi="differs: the request is read before it is answered, as HTTP wants it",
    )
    stats_no_cores: bool = option(
        False,
        "Leave the threads of the workers out of the stats.",
    )
    stats_minified: bool = option(
        True,
        "Send the stats without blanks.",
        aliases=("stats-min",),
        uwsgi="accepted: they always are; `muleteer status --json` prints them for people",
    )
    stats_no_metrics: bool = option(
        True,
        "Leave the metrics out of the stats.",
        uwsgi="accepted: they are none of the stats; Prometheus reads them from `metrics`",
    )
    metrics: str | None = option(
        None,
        "Address on which Prometheus reads metrics.",
        uwsgi="ours",
        read=read_address,
        example="127.0.0.1:9100",
    )


@dataclass(frozen=True, kw_only=True)
class ProgramOptions:
    """Daemons and cron commands."""

    attach_daemon: tuple[Daemon, ...] = option(
        (),
        "Command that runs beside the server, and is started again when it ends.",
        uwsgi="differs: one that ends at once is started again with growing pauses; a reload whose"
        " code does not load leaves it alone",
        read=read_daemon,
        shell=True,
        example="celery -A site worker",
    )
    attach_control_daemon: tuple[Daemon, ...] = option(
        (),
        "The same; when it ends, the server does.",
        read=read_control_daemon,
        shell=True,
        example="redis-server",
    )
    attach_daemon2: tuple[Daemon, ...] = option(
        (),
        "The same, with keys: cmd, pidfile, freq, daemonize, stopsignal, reloadsignal, chdir.",
        uwsgi="differs: uid, gid, exec, touch and the like are not known",
        read=read_daemon2,
        shell=True,
        example="cmd=celery -A site worker,stopsignal=15,reloadsignal=1",
    )
    smart_attach_daemon: tuple[Daemon, ...] = option(
        (),
        "Pidfile and command of a program that goes into the background and outlives the server.",
        read=read_smart_daemon,
        shell=True,
        example="/run/memcached.pid memcached -d -P /run/memcached.pid",
    )
    smart_attach_daemon2: tuple[Daemon, ...] = option(
        (),
        "The same for a program that stays in the foreground.",
        read=read_smart_daemon2,
        shell=True,
        example="/run/memcached.pid memcached -P /run/memcached.pid",
    )
    cron: tuple[CronCommand, ...] = option(
        (),
        "Minute, hour, day, month, weekday and a command line; -1 is any, -5 every fifth.",
        uwsgi="differs: a crontab's fields are understood, too; nothing runs at once because the"
        " start or a reload falls into its minute",
        read=read_cron,
        shell=True,
        example="0 3 -1 -1 -1 /srv/app/backup",
    )
    unique_cron: tuple[CronCommand, ...] = option(
        (),
        "The same; it is not started while it still runs.",
        uwsgi="differs: in the same as cron",
        read=read_unique_cron,
        shell=True,
        example="-5 -1 -1 -1 -1 /srv/app/import",
    )
    cron2: tuple[CronCommand, ...] = option(
        (),
        "The same by names: minute, hour, day, month, week, unique, harakiri.",
        uwsgi="differs: in the same as cron",
        read=read_cron2,
        shell=True,
        example="minute=-5,unique=1,harakiri=60 /srv/app/import",
    )
    cron_harakiri: float | None = option(
        None,
        "Seconds a cron command may take before it and all it started is killed; 0: no limit.",
        read=read_deadline,
        example="600",
    )
    reload_mercy: float = option(
        3.0,
        "Seconds a daemon or cron command has to end when it is asked to, before it is killed.",
        check=positive,
    )

"""Options: log, names, files, and the configuration itself.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    not_negative,
    option,
)
from muleteer.config.values import (
    read_any,
)

__all__ = ["ConfigurationOptions", "LogOptions"]


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """The log, the processes' names, and files."""

    disable_logging: bool = option(
        False,
        "Write no line for each request.",
        short="L",
    )
    log_format: str | None = option(
        None,
        "Form of the line of a request, with uWSGI's %(name) variables.",
        aliases=("logformat",),
        example="%(addr) %(method) %(uri) %(status) %(msecs)ms",
    )
    json_logs: bool = option(
        False,
        "Write the lines of requests and the server's own as JSON objects, one a line.",
        uwsgi="ours",
    )
    log_micros: bool = option(
        False,
        "Count microseconds in the line of a request, not milliseconds.",
    )
    log_x_forwarded_for: bool = option(
        False,
        "Name in the line of a request whom its proxy says it came from.",
    )
    log_4xx: bool = option(
        False,
        "With disable-logging: log requests answered with a status from 400 to 499 all the same.",
    )
    log_5xx: bool = option(
        False,
        "The same for a status from 500 to 599.",
    )
    log_slow: int = option(
        0,
        "The same for requests that took so many milliseconds or longer; 0: for none.",
        check=not_negative,
        example="1000",
    )
    log_big: int = option(
        0,
        "The same for answers of so many bytes or more; 0: for none.",
        check=not_negative,
        example="1000000",
    )
    log_zero: bool = option(
        False,
        "The same for answers without a body.",
    )
    logto: str | None = option(
        None,
        "File to which everything is logged.",
        path=True,
        example="/var/log/app.log",
    )
    logto2: str | None = option(
        None,
        "The same, opened after the user was changed.",
        path=True,
        example="/var/log/app.log",
    )
    log_maxsize: int = option(
        0,
        "Bytes from which the log file is put aside and begun anew; 0: never.",
        check=not_negative,
        example="100000000",
    )
    log_backupname: str | None = option(
        None,
        "Name of the log file that is put aside. Default: its own, with the unix time.",
        path=True,
        example="/var/log/app.log.old",
    )
    log_reopen: bool = option(
        True,
        "Open the log anew at a reload.",
        uwsgi="accepted: it is opened anew by SIGUSR1, the fifo's l or touch-logreopen",
    )
    touch_logreopen: tuple[str, ...] = option(
        (),
        "File whose change has the log opened anew.",
        uwsgi="differs: at once, not within a second; and the file need not be there yet",
        example="/run/app.logreopen",
    )
    touch_logrotate: tuple[str, ...] = option(
        (),
        "File whose change has the log put aside and begun anew.",
        uwsgi="differs: at once, not within a second; and the file need not be there yet",
        example="/run/app.logrotate",
    )
    daemonize: str | None = option(
        None,
        "Leave the terminal, and log to this file.",
        short="d",
        uwsgi="differs: the command returns when the sockets are bound, and with the exit code of"
        " a start that failed; umask is not touched",
        path=True,
        example="/var/log/app.log",
    )
    daemonize2: str | None = option(
        None,
        "The same; the command returns when the application is loaded and serves.",
        uwsgi="differs: a start that fails is the command's exit code",
        path=True,
        example="/var/log/app.log",
    )
    master_fifo: tuple[str, ...] = option(
        (),
        "Named pipe in which letters are commands: r reloads, q stops, l opens the log anew.",
        uwsgi="differs: it is removed at the end; letters that make no sense here say what to do",
        example="/run/app.fifo",
    )
    log_master: bool = option(
        True,
        "Log through the master.",
        uwsgi="accepted: every process writes its own whole lines to the same place",
    )
    pidfile: str | None = option(
        None,
        "File to which the master's pid is written.",
        path=True,
        example="/run/app.pid",
    )
    safe_pidfile: str | None = option(
        None,
        "The same: the master's pid is final from the start.",
        path=True,
        example="/run/app.pid",
    )
    pidfile2: str | None = option(
        None,
        "The same, written after the user was changed.",
        path=True,
        example="/run/app/app.pid",
    )
    safe_pidfile2: str | None = option(
        None,
        "The same as pidfile2.",
        path=True,
        example="/run/app/app.pid",
    )
    auto_procname: bool = option(
        True,
        "Give the processes telling names; they always have them.",
        uwsgi="accepted: processes always have telling names",
    )
    procname_prefix: str = option(
        "",
        "Text in front of the processes' names.",
        read=read_any,
        example="shop-",
    )
    procname_prefix_spaced: str = option(
        "",
        "The same, and a blank.",
        read=read_any,
        example="shop",
    )
    procname_append: str = option(
        "",
        "Text behind the processes' names.",
        read=read_any,
        example="-shop",
    )
    procname: str = option(
        "",
        "Name of all processes, instead of the telling ones.",
        read=read_any,
        example="shop",
    )
    procname_master: str = option(
        "",
        "Name of the master, instead of the telling one.",
        read=read_any,
        example="shop-master",
    )


@dataclass(frozen=True, kw_only=True)
class ConfigurationOptions:
    """How the configuration itself is read."""

    strict: bool = option(
        False,
        "End the start at an option that is not known or not there yet.",
    )
    show_config: bool = option(
        False,
        "Print the configuration as it was understood.",
    )

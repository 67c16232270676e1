"""The journal: every lifecycle sentence of the server — its words and its level.

Other rooms say *what* happened; how it reads stands here and nowhere else.

Runs in: anywhere but Unix signal handlers, and not between the fork and the seat.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from math import inf
from typing import Any

__all__ = ["configure", "identify"]

log = logging.getLogger("muleteer")
_who = "muleteer"


class _Formatter(logging.Formatter):
    """Every line says who speaks: role, id, pid."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        text = f"{stamp} [{_who} {os.getpid()}] {level}{record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _JsonFormatter(logging.Formatter):
    """The same as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": round(record.created, 6),
            "level": record.levelname,
            "who": _who,
            "pid": os.getpid(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def configure(*, as_json: bool = False) -> None:
    """Send the server's own lines to stderr; called by the command line and nobody else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else _Formatter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def identify(who: str) -> None:
    """Say under which name this process speaks from now on."""
    global _who
    _who = who


# -- start and stop ---------------------------------------------------------------------


def starting(version: str, python: str) -> None:
    log.info("muleteer %s on Python %s starts", version, python)


def notice(text: str) -> None:
    log.warning("%s", text)


def cannot_start(reason: str) -> None:
    log.critical("cannot start: %s", reason)


def listening(protocol: str, name: str) -> None:
    log.info("listening on %s %s", protocol, name)


def runs_as_root() -> None:
    log.warning("running as root: whoever breaks the application owns the machine; set uid and gid")


def cannot_step_down(uid: int) -> None:
    log.warning("uid and gid have no effect: only root can become another user, this is %d", uid)


def stepped_down(uid: int, gid: int) -> None:
    log.info("running as user %d, group %d", uid, gid)


def spooler_created(path: str) -> None:
    log.info("created the spool directory %s", path)


def spooler_open(path: str, who: str, way_out: str) -> None:
    log.warning(
        "%s may write to the spool directory %s, and so run code as this server; %s it",
        who,
        path,
        way_out,
    )


def nothing_listens() -> None:
    log.warning("no socket is configured: no worker serves; spoolers, timers and crons run")


def server_ready(generation: int, seats: Iterable[str]) -> None:
    log.info("ready: generation %d, %s", generation, ", ".join(seats) or "nobody")


def stopping(why: str) -> None:
    log.info("stopping (%s): what runs is finished first", why)


def stopping_now(why: str) -> None:
    log.warning("stopping at once (%s): what runs is given up", why)


def stopped() -> None:
    log.info("goodbye to muleteer")


def master_gone() -> None:
    log.critical("the master is gone; leaving")


# -- the log, and commands from outside ---------------------------------------------------


def log_reopens(path: str, why: str) -> None:
    log.info("%s is opened anew (%s)", path, why)


def log_reopened(path: str, why: str) -> None:
    log.info("%s was opened anew (%s)", path, why)


def log_stays(path: str, why: str) -> None:
    log.error("%s cannot be opened anew (%s): the old file is written on", path, why)


def log_is_no_file(why: str) -> None:
    log.warning("no log is opened anew (%s): there is no `logto`, all goes to stderr", why)


def server_state(line: str) -> None:
    log.info("status: %s", line)


def page_failed() -> None:
    log.exception("the stats could not be put together; whoever asked got nothing")


def fifo_unusable(path: str, why: str) -> None:
    log.error("the fifo %s cannot be used: %s", path, why)


def fifo_not_obeyed(letter: str, instead: str) -> None:
    log.warning("the fifo's %r does nothing: %s", letter, instead)


# -- generations ------------------------------------------------------------------------


def reload_started(generation: int, why: str) -> None:
    log.info("chain reload started (%s): generation %d is loading", why, generation)


def zygote_forked(generation: int, pid: int) -> None:
    log.info("spawned zygote of generation %d (pid: %d)", generation, pid)


def app_loaded(generation: int, seconds: float, what: str) -> None:
    log.info("generation %d: loaded %s in %.2f s", generation, what, seconds)


def registered(signals: int, sources: Iterable[str]) -> None:
    log.info(
        "the application registered %d signal%s; the clock has: %s",
        signals,
        "s" * (signals != 1),
        ", ".join(sources) or "nothing",
    )


def load_failed(generation: int, why: str) -> None:
    log.error("generation %d could not be loaded: %s", generation, why)


def reload_failed(generation: int, current: int) -> None:
    log.error(
        "reload failed: generation %d is given up, generation %d goes on serving",
        generation,
        current,
    )


def reload_done(generation: int) -> None:
    log.info("chain reload done: every child is of generation %d", generation)


def zygote_died(generation: int, how: str, seconds: float) -> None:
    log.error(
        "the zygote of generation %d died (%s); its children go on, respawned in %.1f s",
        generation,
        how,
        seconds,
    )


def zygote_differs(generation: int) -> None:
    log.warning(
        "the respawned zygote found other code: it becomes generation %d, a reload",
        generation,
    )


def needs_restart(options: Iterable[str]) -> None:
    log.warning(
        "the configuration changed in %s: that needs a restart, the reload keeps the old values",
        ", ".join(options),
    )


# -- children ---------------------------------------------------------------------------


def child_spawned(seat: str, pid: int, generation: int) -> None:
    log.info("spawned %s (pid: %d, generation: %d)", seat, pid, generation)


def child_respawned(seat: str, pid: int, generation: int) -> None:
    log.info("respawned %s (new pid: %d, generation: %d)", seat, pid, generation)


def child_left(seat: str, pid: int, how: str) -> None:
    log.info("%s (pid: %d) left: %s", seat, pid, how)


def work_lost(seat: str, pid: int, what: str) -> None:
    log.error("%s (pid: %d) died while it ran %s", seat, pid, what)


def child_died(seat: str, pid: int, how: str, delay_s: float) -> None:
    log.error(
        "DAMN! %s (pid: %d) died (%s); respawning %s",
        seat,
        pid,
        how,
        f"in {delay_s:.1f} s" if delay_s else "now",
    )


def respawning(kind: str, why: str) -> None:
    log.info(
        "every %s is replaced, one after the other, with the code that is loaded (%s)", kind, why
    )


def crew_changed(before: int, now: int) -> None:
    log.info("cheaper: %d workers instead of %d", now, before)


def recycled(seat: str, why: str) -> None:
    log.info("%s has done enough (%s) and leaves for a new one", seat, why)


def too_large(seat: str, pid: int, what: str, doing: str) -> None:
    log.error("%s (pid: %d) has %s, killed while it runs %s", seat, pid, what, doing)


def mercy_ended(seat: str, pid: int, mercy_s: float) -> None:
    log.warning("%s (pid: %d) did not leave within its mercy of %g s: killed", seat, pid, mercy_s)


def interrupted(seat: str, pid: int, doing: str, mercy_s: float) -> None:
    log.warning(
        "%s (pid: %d) did not leave within its mercy of %g s: %s is interrupted",
        seat,
        pid,
        mercy_s,
        doing or "what it does",
    )


def start_too_slow(seat: str, pid: int, patience_s: float) -> None:
    log.error("%s (pid: %d) was not ready within %g s: killed", seat, pid, patience_s)


def harakiri(seat: str, pid: int, what: str, late_s: float) -> None:
    log.error(
        "HARAKIRI ON %s (pid: %d): %s is %.1f s over its deadline; its Python stacks:",
        seat.upper(),
        pid,
        what,
        late_s,
    )


def deadline_passed(seat: str, pid: int, what: str, late_s: float, graceful_s: float) -> None:
    log.error(
        "harakiri of %s (pid: %d): %s is %.1f s over its deadline, an exception is raised in it;"
        " killed in %g s",
        seat,
        pid,
        what,
        late_s,
        graceful_s,
    )


def harakiri_done(seat: str, pid: int) -> None:
    log.error("%s (pid: %d) is killed (harakiri)", seat, pid)


# -- programs beside the server -----------------------------------------------------------


def program_spawned(command: str, pid: int) -> None:
    log.info("spawned daemon (pid: %d): %s", pid, command)


def program_respawned(command: str, pid: int) -> None:
    log.info("respawned daemon (new pid: %d): %s", pid, command)


def program_found(command: str, pid: int) -> None:
    log.info("a daemon runs already (pid: %d), it is left alone: %s", pid, command)


def program_asked(command: str, pid: int) -> None:
    log.info("asked to end (pid: %d): %s", pid, command)


def program_killed(command: str, pid: int, seconds: float) -> None:
    log.error("killed after %.1f s (pid: %d) with all it started: %s", seconds, pid, command)


def program_ended(command: str, pid: int, how: str) -> None:
    log.info("daemon ended (pid: %d, %s): %s", pid, how, command)


def program_died(command: str, pid: int, how: str, delay_s: float) -> None:
    log.error(
        "daemon died (pid: %d, %s), respawning %s: %s",
        pid,
        how,
        f"in {delay_s:.1f} s" if delay_s else "now",
        command,
    )


def command_started(command: str, pid: int) -> None:
    log.info("cron: running (pid: %d) %s", pid, command)


def command_ended(command: str, pid: int, how: str, seconds: float) -> None:
    log.info("cron: done after %.1f s (pid: %d, %s) %s", seconds, pid, how, command)


def command_still_runs(command: str) -> None:
    log.warning("cron: not started, it still runs: %s", command)


# -- the application's code ---------------------------------------------------------------


def hook_failed(name: str) -> None:
    log.exception("the application's %s raised", name)


def signal_failed(signum: int) -> None:
    log.exception("the handler of signal %d raised", signum)


def signal_skipped(signum: int, why: str) -> None:
    log.info("the handler of signal %d did not run: %s", signum, why)


def signal_postponed(signum: int, lock: int) -> None:
    log.debug("the handler of signal %d waits until lock %d is free", signum, lock)


def signal_not_given_back(signum: int, why: str) -> None:
    log.error("signal %d, whose handler waited for a lock, is lost: %s", signum, why)


def held_signal_lost(seat: str, why: str) -> None:
    log.error("a signal that %s held for a lock is lost: %s", seat, why)


def signal_unknown(signum: int) -> None:
    log.error(
        "signal %d has no handler in this process; it is not registered in the code that runs now",
        signum,
    )


def signal_not_sent(signum: int, why: str) -> None:
    log.error("signal %d of the clock was not sent: %s", signum, why)


def cron_missed(signum: int, late_s: float) -> None:
    log.warning(
        "cron job of signal %d was due %.0f s ago, while the clock stood: passed over",
        signum,
        late_s,
    )


def cron_state_unreadable(path: str, why: str) -> None:
    log.error("cron-state %s cannot be read (%s): nothing is caught up", path, why)


def cron_state_unwritable(path: str, why: str) -> None:
    log.error(
        "cron-state %s cannot be written (%s): a restart will not know of this run", path, why
    )


# -- the watcher --------------------------------------------------------------------------


def watching(count: int, paths: Iterable[str]) -> None:
    log.info("watching %d path%s: %s", count, "s" * (count != 1), ", ".join(paths))


def cannot_watch(why: str, seconds: float) -> None:
    log.error("the watched files cannot be watched: %s; tried again in %g s", why, seconds)


def watcher_stuck(why: str) -> None:
    log.error("the watcher was not told what to watch: %s", why)


# -- the Erlang node ----------------------------------------------------------------------


def node_listens(name: str, port: int) -> None:
    log.info("Erlang node %s listens on port %d", name, port)


# -- mules --------------------------------------------------------------------------------


def mule_returned(mule: int) -> None:
    log.info("the program of mule %d returned; it is forked again", mule)


def message_without_hook(mule: int, size: int) -> None:
    log.error(
        "mule %d got a message of %d bytes and no hook takes it: set uwsgi.mule_msg_hook",
        mule,
        size,
    )


# -- the spooler --------------------------------------------------------------------------


def spooler_rests(number: int, directory: str) -> None:
    log.info("spooler %d of %s has nothing to do and rests", number, directory)


def spooler_called(number: int, directory: str) -> None:
    log.info("spooler %d of %s is called back", number, directory)


def task_started(name: str) -> None:
    log.info("managing request %s ...", name)


def task_done(name: str, seconds: float) -> None:
    log.info("done with task %s after %.3f seconds", name, seconds)


def task_retries(name: str, seconds: float) -> None:
    log.info("task %s will run again in %g s", name, seconds)


def task_raised(name: str, what: str) -> None:
    log.exception("task %s raised %s", name, what)


def task_failed(name: str, what: str, failures: int, retries: float, seconds: float) -> None:
    log.warning(
        "task %s failed (%d%s): %s; it will run again in %.2f s",
        name,
        failures,
        ", tried for ever" if retries == inf else f" of {retries + 1:g}",
        what,
        seconds,
    )


def task_dropped(name: str, why: str) -> None:
    log.warning("task %s was dropped by its own word: %s", name, why)


def task_interrupted(name: str) -> None:
    log.warning("task %s was interrupted; it will run again from its start", name)


def task_ignored(name: str, seconds: float) -> None:
    log.warning(
        "nobody took task %s (no `uwsgi.spooler`, or it said SPOOL_IGNORE); again in %g s",
        name,
        seconds,
    )


def task_buried(name: str, why: str) -> None:
    log.error("task %s is dead: %s; moved to the dead/ directory", name, why)


def result_lost(name: str, why: str) -> None:
    log.error("the result of task %s cannot be kept: %s", name, why)


def task_stuck(name: str, why: str) -> None:
    log.warning("task %s cannot be taken (%s): left where it is, looked at now and then", name, why)


def store_unavailable(why: str, seconds: float) -> None:
    log.error("the spool cannot be used: %s; tried again in %g s", why, seconds)

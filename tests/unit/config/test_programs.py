"""What `attach-daemon`, `cron` and their kin say: words in, programs out, and clear refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from muleteer.clock.cron import CronSpec
from muleteer.clock.crontab import CrontabSpec
from muleteer.config.programs import (
    CronCommand,
    Daemon,
    read_cron,
    read_cron2,
    read_daemon,
    read_daemon2,
    read_smart_daemon,
    read_smart_daemon2,
    read_unique_cron,
)

ANY = CronSpec(-1, -1, -1, -1, -1)


@pytest.mark.parametrize(
    ("read", "text", "daemon"),
    [
        (read_daemon, " redis-server --port 1 ", Daemon("redis-server --port 1")),
        (read_smart_daemon, "/run/x.pid x -d  -P", Daemon("x -d  -P", "/run/x.pid", True)),
        (read_smart_daemon2, "/run/x.pid x", Daemon("x", "/run/x.pid")),
        (read_daemon2, "cmd=x -a", Daemon("x -a")),
        (read_daemon2, r"cmd=echo a\,b,chdir=/srv", Daemon("echo a,b", directory="/srv")),
        (
            read_daemon2,
            "cmd=x,pidfile=/p,freq=3,daemonize=1,stopsignal=9,reloadsignal=1,control=1",
            Daemon("x", "/p", True, 3.0, 9, 1, "", True),
        ),
    ],
)
def test_a_daemon_is_read(read: Callable[[str], Daemon], text: str, daemon: Daemon) -> None:
    """Each way of writing one."""
    assert read(text) == daemon


@pytest.mark.parametrize(
    ("read", "text", "command"),
    [
        (
            read_cron,
            "0 3 -1 -1 -1 back  up",
            CronCommand(CronSpec(0, 3, -1, -1, -1), "back  up"),
        ),
        (read_cron, "*/5 -1 -1 -1 1-5 x", CronCommand(CrontabSpec("*/5 * * * 1-5"), "x")),
        (read_unique_cron, "-1 -1 -1 -1 -1 x", CronCommand(ANY, "x", unique=True)),
        (read_cron2, "minute=-1 x y", CronCommand(ANY, "x y")),
        (
            read_cron2,
            "minute=2,hour=3,day=4,month=5,week=6,unique=1,harakiri=7 x",
            CronCommand(CronSpec(2, 3, 4, 5, 6), "x", True, 7.0),
        ),
    ],
)
def test_a_cron_command_is_read(
    read: Callable[[str], CronCommand], text: str, command: CronCommand
) -> None:
    """uWSGI's numbers, a crontab's fields, and keys."""
    assert read(text) == command


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (read_daemon, "  ", "expected a command"),
        (read_smart_daemon, "/run/x.pid", "a pidfile and a command"),
        (read_daemon2, "pidfile=/p", "expected a command"),
        (read_daemon2, "cmd=x,uid=0", "not 'uid'"),
        (read_daemon2, "cmd=x,stopsignal=99", "a Unix signal"),
        (read_daemon2, "cmd=x,freq=often", "a number for freq"),
        (read_cron, "-1 -1 -1 -1 -1", "minute, hour, day, month, weekday and a command"),
        (read_cron, "61 -1 -1 -1 -1 x", "minute"),
        (read_cron, "-5 * * * 1-5 x", "bad minute"),
        (read_cron, "nope -1 -1 -1 -1 x", "cron"),
        (read_cron2, "second=1 x", "not 'second'"),
        (read_cron2, "minute=1", "expected a command"),
    ],
)
def test_what_makes_no_sense_is_refused(
    read: Callable[[str], object], text: str, says: str
) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match=says):
        read(text)

"""What is to be done about programs beside the server: stages and a time in, acts out."""

from __future__ import annotations

import pytest

from muleteer.clock.cron import CronSpec
from muleteer.config.programs import CronCommand, Daemon
from muleteer.master.roster import SeatHistory
from muleteer.master.supervision import Act, Companion, Job, Stage, care_for, watch_jobs

NOW = 1000.0
PLAIN = Daemon("x")
SMART = Daemon("x", "/run/x.pid", check_s=10)


def acts(one: Companion, *, ends: bool = False, hurry: bool = False) -> list[Act]:
    care = care_for([one], NOW, ends=ends, hurry=hurry, mercy_s=3)
    assert all(what is one for _, what in care.acts)
    return [act for act, _ in care.acts]


def wake(one: Companion, *, ends: bool = False) -> float | None:
    return care_for([one], NOW, ends=ends, hurry=False, mercy_s=3).wake_at


def test_an_absent_daemon_is_started_one_with_a_pidfile_is_looked_for() -> None:
    """Somebody else may have started it."""
    assert acts(Companion(PLAIN)) == [Act.START]
    assert acts(Companion(SMART)) == [Act.LOOK]


def test_one_that_died_young_waits_for_its_turn() -> None:
    """The back-off is kept in its history; until then the master sleeps."""
    one = Companion(PLAIN, history=SeatHistory(not_before=NOW + 5))
    assert (acts(one), wake(one)) == ([], NOW + 5)


def test_one_that_runs_is_left_alone() -> None:
    """No act, no wake-up."""
    one = Companion(PLAIN, Stage.RUNNING)
    assert (acts(one), wake(one)) == ([], None)


@pytest.mark.parametrize("change", ["restarts", "unwanted", "ends"])
def test_one_that_is_to_go_is_asked(change: str) -> None:
    """By a reload, by a configuration without it, by a stop."""
    one = Companion(PLAIN, Stage.RUNNING)
    one.restarts = change == "restarts"
    one.is_wanted = change != "unwanted"
    assert acts(one, ends=change == "ends") == [Act.ASK]
    assert acts(one, ends=change == "ends", hurry=True) == [Act.KILL]


def test_one_that_does_not_go_is_killed_once() -> None:
    """After its mercy; the kill is waited for without a second one."""
    one = Companion(PLAIN, Stage.LEAVING, since=NOW - 2)
    assert (acts(one), wake(one)) == ([], NOW + 1)
    one.since = NOW - 3
    assert acts(one) == [Act.KILL]
    one.stage = Stage.KILLED
    assert acts(one, ends=True, hurry=True) == []


def test_one_with_a_pidfile_is_never_stopped() -> None:
    """It outlives the server, as uWSGI's smart daemons."""
    for stage in (Stage.RUNNING, Stage.ELSEWHERE):
        assert acts(Companion(SMART, stage, since=NOW), ends=True, hurry=True) == []


def test_one_in_the_background_is_looked_for_every_freq_seconds() -> None:
    """Its pidfile may name nobody any more."""
    one = Companion(SMART, Stage.ELSEWHERE, since=NOW - 9)
    assert (acts(one), wake(one)) == ([], NOW + 1)
    one.since = NOW - 10
    assert acts(one) == [Act.LOOK]


def test_nothing_is_started_in_a_stop() -> None:
    """An absent one stays absent."""
    assert acts(Companion(PLAIN), ends=True) == []


# -- cron commands ------------------------------------------------------------------------


def job(deadline: float | None = None, stage: Stage = Stage.RUNNING, since: float = NOW) -> Job:
    command = CronCommand(CronSpec(-1, -1, -1, -1, -1), "x")
    return Job(command, 7, NOW, deadline, stage, since)


def job_acts(
    one: Job, *, ends: bool = False, hurry: bool = False
) -> tuple[list[Act], float | None]:
    care = watch_jobs([one], NOW, ends=ends, hurry=hurry, patience_s=60, mercy_s=3)
    return [act for act, _ in care.acts], care.wake_at


def test_a_command_may_run() -> None:
    """For ever without a deadline, until its deadline with one."""
    assert job_acts(job()) == ([], None)
    assert job_acts(job(NOW + 5)) == ([], NOW + 5)


def test_a_command_over_its_deadline_is_killed_once() -> None:
    """`cron-harakiri`."""
    assert job_acts(job(NOW))[0] == [Act.KILL]
    assert job_acts(job(NOW, Stage.KILLED)) == ([], None)


def test_a_stop_lets_a_command_finish_for_a_while() -> None:
    """Then it is asked, then it is killed; at once when the stop is."""
    assert job_acts(job(since=NOW - 59), ends=True) == ([], NOW + 1)
    assert job_acts(job(since=NOW - 60), ends=True)[0] == [Act.ASK]
    assert job_acts(job(stage=Stage.LEAVING, since=NOW - 1), ends=True) == ([], NOW + 2)
    assert job_acts(job(stage=Stage.LEAVING, since=NOW - 3), ends=True)[0] == [Act.KILL]
    assert job_acts(job(), ends=True, hurry=True)[0] == [Act.KILL]

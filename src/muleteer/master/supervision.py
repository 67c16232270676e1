"""The supervision of programs beside the server: what to do about each. Pure: no process, no clock.

companions.py carries it out and says what it sees.

Rules:
1. A program that dies young is not started again in a hot loop; one that ran is, at once.
2. A program with a pidfile is somebody's own: it is started when nobody of that pid lives, and
   never stopped.
3. Companions outlive the children that may need them: they are asked to end when those are gone.
4. Every wait has an end: one that does not go in its mercy is killed, once.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from muleteer.config.programs import CronCommand, Daemon
from muleteer.master.roster import SeatHistory
from muleteer.master.waking import soonest

__all__ = ["Act", "Companion", "Job", "Stage", "care_for", "watch_jobs"]


class Stage(Enum):
    """Where a companion is."""

    ABSENT = "absent"
    RUNNING = "running"
    """It is our child."""
    ELSEWHERE = "elsewhere"
    """Its pidfile names somebody who lives, or is expected to: it put itself into background."""
    LEAVING = "leaving"
    KILLED = "killed"


class Act(Enum):
    """What is to be done about a program."""

    START = "start"
    LOOK = "look"
    """Is there anybody of the pid in its file?"""
    ASK = "ask"
    KILL = "kill"


@dataclass(slots=True, eq=False)
class Companion:
    """One daemon, as the master sees it."""

    daemon: Daemon
    stage: Stage = Stage.ABSENT
    pid: int = 0
    since: float = 0.0
    """When it entered its stage (monotonic)."""
    born: float = 0.0
    restarts: bool = False
    """A reload asks for a new one: it is to leave and come back."""
    is_wanted: bool = True
    """False: the new configuration does not name it any more."""
    history: SeatHistory = field(default_factory=SeatHistory)

    def enter(self, stage: Stage, now: float) -> None:
        """Go to a stage."""
        self.stage, self.since = stage, now


@dataclass(slots=True, eq=False)
class Job:
    """One run of a cron command."""

    command: CronCommand
    pid: int
    born: float
    deadline: float | None
    stage: Stage = Stage.RUNNING
    since: float = 0.0


@dataclass(slots=True)
class Care:
    """What to do now, and when to ask again if nothing happens before."""

    acts: list[tuple[Act, Companion | Job]] = field(default_factory=list)
    wake_at: float | None = None

    def later(self, when: float) -> None:
        """Ask again at `when` at the latest."""
        self.wake_at = soonest(self.wake_at, when)


def care_for(
    companions: Iterable[Companion], now: float, *, ends: bool, hurry: bool, mercy_s: float
) -> Care:
    """Say what is to be done about the daemons; `ends`: the server stops, `hurry`: at once."""
    care = Care()
    for one in companions:
        wanted = one.is_wanted and not ends
        match one.stage:
            case Stage.ABSENT if wanted:
                _start_or_wait(one, now, care)
            case Stage.RUNNING if not one.daemon.pidfile and (one.restarts or not wanted):
                care.acts.append((Act.KILL if hurry else Act.ASK, one))
            case Stage.ELSEWHERE if wanted:
                _look_or_wait(one, now, care)
            case Stage.LEAVING:
                _kill_or_wait(one, now, 0.0 if hurry else mercy_s, care)
            case _:
                pass
    return care


def watch_jobs(
    jobs: Iterable[Job], now: float, *, ends: bool, hurry: bool, patience_s: float, mercy_s: float
) -> Care:
    """Say what is to be done about running commands: a deadline kills, a stop waits a while."""
    care = Care()
    for job in jobs:
        if job.stage is Stage.LEAVING:
            _kill_or_wait(job, now, 0.0 if hurry else mercy_s, care)
        elif job.stage is Stage.RUNNING and (hurry or _is_over(job.deadline, now)):
            care.acts.append((Act.KILL, job))
        elif job.stage is Stage.RUNNING and ends and now >= job.since + patience_s:
            care.acts.append((Act.ASK, job))
        elif job.stage is Stage.RUNNING:
            if job.deadline is not None:
                care.later(job.deadline)
            if ends:
                care.later(job.since + patience_s)
    return care


def _is_over(deadline: float | None, now: float) -> bool:
    return deadline is not None and now >= deadline


def _start_or_wait(one: Companion, now: float, care: Care) -> None:
    if now < one.history.not_before:
        care.later(one.history.not_before)
    else:
        care.acts.append((Act.LOOK if one.daemon.pidfile else Act.START, one))


def _look_or_wait(one: Companion, now: float, care: Care) -> None:
    if now >= one.since + one.daemon.check_s:
        care.acts.append((Act.LOOK, one))
    else:
        care.later(one.since + one.daemon.check_s)


def _kill_or_wait(one: Companion | Job, now: float, mercy_s: float, care: Care) -> None:
    if now >= one.since + mercy_s:
        care.acts.append((Act.KILL, one))
    else:
        care.later(one.since + mercy_s)

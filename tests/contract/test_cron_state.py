"""master/cronstate.py: what is remembered, what is forgotten, and a file that is never half."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from muleteer import journal
from muleteer.clock.crontab import CrontabSpec, zone_named
from muleteer.clock.timers import Cron, Timer
from muleteer.config.options import Settings
from muleteer.master.cronstate import CronState, state_file

NIGHTLY = Cron(300, "", CrontabSpec("0 3 * * *"), zone_named("Europe/Rome"), catches_up=True)
HOURLY = Cron(301, "", CrontabSpec("@hourly"), catches_up=True)
PLAIN = Cron(302, "", CrontabSpec("@daily"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state lies."""
    return tmp_path / "state"


def test_a_last_run_is_known_after_a_restart(path: Path) -> None:
    """To the object of the next server, by signal, line and zone."""
    first = CronState(str(path))
    assert first.begin([NIGHTLY, HOURLY, PLAIN, Timer(1, "", 5)], 1000.0) == {
        NIGHTLY: 1000.0,
        HOURLY: 1000.0,
    }
    first.note(NIGHTLY, 2000.0)
    assert CronState(str(path)).begin([NIGHTLY, HOURLY], 9000.0) == {
        NIGHTLY: 2000.0,
        HOURLY: 1000.0,
    }


def test_a_job_that_is_gone_is_forgotten(path: Path) -> None:
    """When it comes back it is a new one."""
    CronState(str(path)).begin([NIGHTLY, HOURLY], 1000.0)
    CronState(str(path)).begin([HOURLY], 2000.0)
    assert CronState(str(path)).begin([NIGHTLY], 3000.0) == {NIGHTLY: 3000.0}


def test_without_such_jobs_there_is_no_file(path: Path) -> None:
    """Nobody pays for what nobody asked for."""
    CronState(str(path)).begin([PLAIN], 1000.0)
    assert list(path.parent.iterdir()) == []


def test_nothing_else_is_left_in_the_directory(path: Path) -> None:
    """The draft became the file."""
    state = CronState(str(path))
    state.begin([NIGHTLY], 1000.0)
    state.note(NIGHTLY, 2000.0)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["rubbish\n", "1.5\n\n", "x 300 y\n"])
def test_a_file_that_is_none_catches_nothing_up(
    path: Path, content: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and the server goes on."""
    monkeypatch.setattr(journal.log, "propagate", True)
    path.write_text(content)
    with caplog.at_level(logging.ERROR, logger="muleteer"):
        assert CronState(str(path)).begin([NIGHTLY], 3000.0) == {NIGHTLY: 3000.0}
    assert "nothing is caught up" in caplog.text


def test_a_place_that_cannot_be_written_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job runs all the same."""
    monkeypatch.setattr(journal.log, "propagate", True)
    with caplog.at_level(logging.ERROR, logger="muleteer"):
        CronState(str(tmp_path / "no" / "state")).begin([NIGHTLY], 3000.0)
    assert "cannot be written" in caplog.text


def test_where_it_lies() -> None:
    """Where the option says, else in the first spool directory, else nowhere."""
    assert state_file(Settings()) is None
    assert state_file(Settings(spooler=("/spool/a", "/spool/b"))) == "/spool/a/.muleteer-cron-state"
    assert state_file(Settings(spooler=("/spool/a",), cron_state="/var/state")) == "/var/state"

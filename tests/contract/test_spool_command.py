"""`muleteer spool`, command by command, on directories without a server."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from muleteer.cli import spool
from muleteer.cli.screen import Screen
from muleteer.spool import State, status
from muleteer.spool.directory import DirectoryStore
from muleteer.spool.store import Outcome, Task

FUTURE = 4_000_000_000.0


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        """Each line of the answer."""
        return [json.loads(line) for line in self.out.splitlines()]


def say(*words: str | Path | bytes) -> Said:
    """Run `muleteer spool` with these words, in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = spool.main([os.fsdecode(word) for word in words], Screen(out, err))
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A spool directory."""
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.fixture
def store(home: Path) -> Iterator[DirectoryStore]:
    """A spooler's side of it."""
    made = DirectoryStore(bytes(home))
    yield made
    made.close()


def task_of(function: str, **more: bytes) -> dict[bytes, bytes]:
    """The vars of a decorated function's task."""
    plain = function.rpartition(".")[2].encode()
    own = {b"ud_spool_name": function.encode(), b"ud_spool_func": plain}
    return own | {key.encode(): value for key, value in more.items()}


def name_of(path: bytes) -> str:
    return os.fsdecode(os.path.basename(path))


def kill_next(store: DirectoryStore, reason: str = "it failed") -> Task:
    """Let the next task that is due be a dead one."""
    task = store.claim(time.time() + 1)
    assert task is not None
    store.bury(task, reason)
    return task


# -- ls -------------------------------------------------------------------------------------


def test_ls_shows_the_tasks_in_their_order(home: Path, store: DirectoryStore) -> None:
    """Running, then due by priority and age, then delayed by their time; and how many there are."""
    late = store.put(task_of("shop.late"), at=FUTURE + 1)
    soon = store.put(task_of("shop.soon"), at=FUTURE)
    first = store.put(task_of("shop.first"))
    held = store.claim(time.time() + 1)
    assert held is not None
    second = store.put({})
    urgent = store.put(task_of("shop.urgent"), priority=b"1")
    said = say("ls", home)
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].split() == [
        "STATE",
        "FUNCTION",
        "QUEUED",
        "DUE",
        "FAILED",
        "TASK",
        "LAST",
        "ERROR",
    ]
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["running", "shop.first"], ["waiting", "shop.urgent"], ["waiting", "-"],
        ["delayed", "shop.soon"], ["delayed", "shop.late"],
    ]  # fmt: skip
    order = [first, urgent, second, soon, late]
    assert all(name_of(path) in line for path, line in zip(order, lines[1:-1], strict=True))
    assert f"1/{name_of(urgent)}" in lines[2]
    assert lines[-1] == "1 running, 2 waiting, 2 delayed"


def test_ls_is_limited_and_says_so(home: Path, store: DirectoryStore) -> None:
    """The first ones are shown; with --limit 0 all."""
    for _ in range(120):
        store.put({})
    said = say("ls", home)
    assert len(said.out.splitlines()) == 102
    assert said.out.endswith("120 waiting; the first 100 are shown, --limit 0 shows all\n")
    assert len(say("ls", home, "--limit", "3").out.splitlines()) == 5
    assert len(say("ls", home, "--limit", "0").out.splitlines()) == 122
    assert len(say("ls", home, "--limit", "0", "--json").json) == 120


def test_ls_filters_by_state_function_and_age(home: Path, store: DirectoryStore) -> None:
    """Each alone and together; a function by the last parts of its name."""
    store.put(task_of("shop.tasks.pay"))
    store.put(task_of("bank.tasks.pay"), at=FUTURE)
    store.put(task_of("shop.tasks.repay"))
    assert len(say("ls", home, "--json", "--function", "pay").json) == 2
    assert len(say("ls", home, "--json", "--function", "shop.tasks.pay").json) == 1
    assert say("ls", home, "--json", "--function", "tasks").json == []
    assert len(say("ls", home, "--json", "--state", "delayed").json) == 1
    both = say("ls", home, "--json", "--state", "delayed", "--state", "waiting")
    assert len(both.json) == 3
    assert say("ls", home, "--older-than", "1h").out.endswith("no such tasks\n")


def test_ls_shows_the_dead_with_their_reason(home: Path, store: DirectoryStore) -> None:
    """Only if asked for; the first line of the reason."""
    store.put(task_of("shop.pay"))
    kill_next(store, "ValueError: no money\nand more")
    assert "no such tasks" in say("ls", home).out
    said = say("ls", home, "--state", "dead")
    assert "ValueError: no money" in said.out
    assert "and more" not in said.out
    assert said.out.endswith("1 dead\n")


def test_ls_as_json_has_every_field(home: Path, store: DirectoryStore) -> None:
    """Null where nobody knows; times as numbers."""
    path = store.put(task_of("shop.pay"))
    (told,) = say("ls", home, "--json").json
    assert told | {"queued_at": 0, "due_at": 0, "size": 0} == {
        "task": name_of(path), "path": os.fsdecode(path), "state": "waiting",
        "function": "shop.pay", "queued_at": 0, "due_at": 0, "started_at": None,
        "ended_at": None, "seconds": None, "attempts": 0, "last_error": None, "result": None,
        "size": 0,
    }  # fmt: skip
    assert abs(told["queued_at"] - time.time()) < 60


# -- show -----------------------------------------------------------------------------------


def test_show_tells_everything_of_a_task(home: Path, store: DirectoryStore) -> None:
    """State, function, times, failures, arguments, vars and body; by name, path or pattern."""
    pickles = {"args": pickle.dumps((7, "x")), "kwargs": pickle.dumps({"key": None})}
    path = store.put(task_of("shop.pay", colour=b"red", **pickles), b"\xff\x00body")
    task = store.claim(time.time() + 1)
    assert task is not None
    store.settle(task, Outcome.RETRY, at=FUTURE, error="ValueError: no\nline two")
    for word in (name_of(path), path, f"*{name_of(path)[-20:]}"):
        said = say("show", home, word)
        assert said.code == 0
        text = " ".join(said.out.split())
        for part in (
            f"task {name_of(path)}", f"path {os.fsdecode(path)}", "state delayed",
            "function shop.pay", "failed 1 times", "last error ValueError: no line two",
            "arguments 7, 'x', key=None", "var colour red", r"body b'\xff\x00body'",
        ):  # fmt: skip
            assert part in text, part
        assert "var args" not in text


def test_show_as_json_has_the_vars(home: Path, store: DirectoryStore) -> None:
    """Text as text, other bytes as Python writes them."""
    path = store.put({b"a": b"b", b"raw": b"\xff"}, b"1234")
    (told,) = say("show", home, name_of(path), "--json").json
    assert told["vars"] == {"a": "b", "raw": r"b'\xff'"}
    assert (told["arguments"], told["body_size"]) == (None, 4)


def test_show_of_a_broken_task_says_what_is_wrong(home: Path) -> None:
    """It has no vars to show."""
    (home / "uwsgi_spoolfile_on_x_1_1_1_1_1").write_bytes(b"junk")
    said = say("show", home, "uwsgi_spoolfile_on_x_1_1_1_1_1")
    assert said.code == 0
    assert "last error" in said.out
    assert "are not a task's" in said.out


# -- stats ----------------------------------------------------------------------------------


def test_stats_count_by_state_and_function(home: Path, store: DirectoryStore) -> None:
    """For people and for machines."""
    store.put(task_of("shop.pay"))
    kill_next(store)
    store.put(task_of("shop.pay"))
    store.put(task_of("shop.send"), at=time.time() + 7200)
    (told,) = say("stats", home, "--json").json
    assert {k: told[k] for k in ("running", "waiting", "delayed", "dead", "done")} == {
        "running": 0, "waiting": 1, "delayed": 1, "dead": 1, "done": 0,
    }  # fmt: skip
    assert told["functions"] == {"shop.pay": {"dead": 1, "waiting": 1}, "shop.send": {"delayed": 1}}
    assert told["next_due_at"] > time.time() + 7000
    out = say("stats", home).out
    assert "waiting            1" in out
    assert "has waited for 0s" in out
    assert "is due in 1h 59m" in out


# -- retry, rm, move, purge -------------------------------------------------------------------


def test_retry_brings_the_dead_back(home: Path, store: DirectoryStore) -> None:
    """All of them, those of a function, or one by its name."""
    for function in ("shop.pay", "shop.pay", "shop.send"):
        store.put(task_of(function))
        kill_next(store)
    assert say("retry", home, "--function", "send").out == "1 retried\n"
    (one, _) = say("ls", home, "--state", "dead", "--json").json
    assert say("retry", home, one["task"]).out == "1 retried\n"
    assert say("retry", home, "--state", "dead", "--json").json == [
        {"retried": 1, "running": 0, "gone": 0, "refused": 0, "missing": [], "dry_run": False}
    ]
    assert len(say("ls", home, "--json", "--state", "waiting").json) == 3


def test_retry_makes_a_delayed_task_due(home: Path, store: DirectoryStore) -> None:
    """Named, or all that are delayed."""
    path = store.put({}, at=FUTURE)
    store.put({}, at=FUTURE)
    assert say("retry", home, name_of(path)).code == 0
    assert status(path).state is State.WAITING
    assert say("retry", home, "--state", "delayed").out == "1 retried\n"


def test_retry_of_a_broken_task_says_why_not(home: Path) -> None:
    """And goes on with the others."""
    (home / "dead").mkdir()
    (home / "dead" / "uwsgi_spoolfile_on_x_1_1_1_1_1").write_bytes(b"junk")
    said = say("retry", home, "--state", "dead")
    assert (said.code, said.out) == (2, "0 retried, 1 left alone\n")
    assert "cannot be read, so it cannot run" in said.err


def test_rm_removes_and_respects_a_running_task(home: Path, store: DirectoryStore) -> None:
    """Named ones, whatever their state; of a running one it says so, and with exit code 2."""
    running = store.put({})
    assert store.claim(time.time() + 1) is not None
    waiting, delayed = store.put({}), store.put({}, at=FUTURE)
    said = say("rm", home, *map(name_of, (running, waiting, delayed)))
    assert (said.code, said.out) == (2, "2 removed, 1 left alone, running\n")
    assert said.err == f"muleteer: task {name_of(running)} is running and was left alone\n"
    assert status(running).state is State.RUNNING
    assert status(waiting).state is status(delayed).state is State.GONE


def test_rm_by_pattern(home: Path, store: DirectoryStore) -> None:
    """A * stands for anything; a pattern that fits nothing is an error."""
    for _ in range(3):
        store.put({})
    assert say("rm", home, "uwsgi_spoolfile_on_*").out == "3 removed\n"
    said = say("rm", home, "uwsgi_spoolfile_on_*")
    assert (said.code, said.out) == (1, "0 removed\n")
    assert said.err == f"muleteer: no task uwsgi_spoolfile_on_* in {home}\n"


def test_a_task_that_is_meant_twice_is_taken_once(home: Path, store: DirectoryStore) -> None:
    """By its name twice, and by a pattern."""
    names = [name_of(store.put({})) for _ in range(2)]
    twice = (names[0], names[0], "uwsgi_spoolfile_on_*")
    assert len(say("show", home, *twice, "--json").out.splitlines()) == 2
    said = say("rm", home, *twice)
    assert (said.code, said.out, said.err) == (0, "2 removed\n", "")


def test_missing_task_is_an_error_and_stops_no_other(home: Path, store: DirectoryStore) -> None:
    """Exit code 1, and the ones that are there are removed."""
    path = store.put({})
    said = say("rm", home, "nobody", name_of(path))
    assert (said.code, said.out) == (1, "1 removed\n")
    assert said.err == f"muleteer: no task nobody in {home}\n"


def test_nobody_means_all_by_saying_nothing(home: Path, store: DirectoryStore) -> None:
    """rm, retry and move want to know which."""
    path = store.put({})
    for words in (("rm", home), ("retry", home), ("move", home, "--to", home)):
        said = say(*words)
        assert (said.code, said.out) == (3, "")
        assert "which tasks?" in said.err
    assert status(path).state is State.WAITING


def test_dry_run_changes_nothing(home: Path, store: DirectoryStore) -> None:
    """It says what would be done."""
    path = store.put({})
    said = say("rm", home, "--state", "waiting", "--dry-run")
    assert said.out == f"{name_of(path)} would be removed\n1 would be removed\n"
    assert status(path).state is State.WAITING


def test_move_takes_tasks_to_another_directory(
    home: Path, tmp_path: Path, store: DirectoryStore
) -> None:
    """And says when there is no such directory."""
    store.put(task_of("shop.pay"))
    store.put(task_of("shop.send"))
    said = say("move", home, "--function", "pay", "--to", tmp_path / "other")
    assert said.code == 1
    assert "other is no directory" in said.err
    (tmp_path / "other").mkdir()
    assert say("move", home, "--function", "pay", "--to", tmp_path / "other").out == "1 moved\n"
    assert [t["function"] for t in say("ls", tmp_path / "other", "--json").json] == ["shop.pay"]
    assert [t["function"] for t in say("ls", home, "--json").json] == ["shop.send"]


def test_purge_removes_the_dead(home: Path, store: DirectoryStore) -> None:
    """With their reasons; what has not run yet only with --yes; the young ones not if told so."""
    store.put({})
    kill_next(store)
    waiting = store.put({})
    assert say("purge", home, "--older-than", "1d").out == "0 removed\n"
    assert say("purge", home).out == "1 removed\n"
    assert list((home / "dead").iterdir()) == []
    said = say("purge", home, "--state", "waiting")
    assert said.code == 3
    assert "--yes" in said.err
    assert status(waiting).state is State.WAITING
    assert say("purge", home, "--state", "waiting", "--yes").out == "1 removed\n"
    assert status(waiting).state is State.GONE


# -- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 3, "COMMAND"),
        (("dance", "."), 3, "dance"),
        (("ls",), 3, "DIR"),
        (("ls", "/nowhere"), 1, "/nowhere is no directory"),
        (("ls", ".", "--state", "asleep"), 3, "asleep"),
        (("ls", ".", "--limit", "-1"), 3, "--limit"),
        (("ls", ".", "--older-than", "soon"), 3, "write 90s, 15m, 12h, 7d"),
        (("show", "."), 3, "TASK"),
        (("show", ".", "nobody"), 1, "no task nobody in ."),
        (("move", ".", "x"), 3, "--to"),
    ],
)
def test_errors_are_one_line_and_have_their_code(
    words: tuple[str, ...], code: int, said: str
) -> None:
    """3 for wrong words, 1 for what is not there."""
    answer = say(*words)
    assert answer.code == code
    assert answer.err.startswith("muleteer: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err


# -- as a command of the shell ------------------------------------------------------------------


def shell(*words: object) -> Said:
    """Run the installed command."""
    command = [sys.executable, "-m", "muleteer", "spool", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return Said(done.returncode, done.stdout, done.stderr)


def test_command_of_the_shell(home: Path, store: DirectoryStore) -> None:
    """The same answers and codes, and help for each command."""
    store.put(task_of("shop.pay"))
    assert [t["function"] for t in shell("ls", home, "--json").json] == ["shop.pay"]
    assert shell("show", home, "nobody").code == 1
    said = shell("purge", "--help")
    assert said.code == 0
    assert "Exit codes: 0 done;" in said.out


def test_reader_that_has_seen_enough_is_no_error(home: Path, store: DirectoryStore) -> None:
    """`muleteer spool ls … | head -1` ends in silence."""
    for _ in range(3000):
        store.put({})
    command = f"{sys.executable} -m muleteer spool ls {home} --limit 0 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split()[:2], done.stderr) == (["STATE", "FUNCTION"], "")

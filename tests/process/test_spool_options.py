"""The spooler's options, each seen to have its effect in the real server."""

from __future__ import annotations

import os
import re
import signal as unix_signals
from collections import Counter
from pathlib import Path

from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

APP = """
@spool
def where(task):
    note(os.getpid(), uwsgi.spooler_dir().decode().rpartition("/")[2], task.get("n", ""))

@spool
def once(task):
    note("once", task["n"])

@spool
def signalled(task):
    uwsgi.signal(17)

@signal(17, target="spooler")
def heard(number):
    note("heard", os.getpid())
"""

TWO = {"other/": ""}


def tasks_in(yard: Playground, folder: str) -> list[str]:
    """The task files in a directory."""
    return sorted(p.name for p in (yard.folder / folder).glob("uwsgi_spoolfile_on_*"))


def test_each_directory_has_its_own_number_of_processes(start_server: StartServer) -> None:
    """`spooler-processes = 3 1`: the first has three, the second one; `''` and paths reach them."""
    ini = "processes = 1\nspooler = spool\nspooler = other\nspooler-processes = 3 1\n"
    yard = play(start_server, APP, ini, files=TWO)
    assert len(yard.server.pids("spooler")) == 4
    assert len(yard.ask("uwsgi.spooler_pids()")) == 4
    other = yard.ask("uwsgi.spoolers[1]")
    yard.ask(f"[where.spool(n=n, spooler={other!r}) for n in range(20)] and None")
    yard.ask("[where.spool(n=n) for n in range(20)] and None")
    eventually(lambda: len(yard.notes()) == 40)
    pids = {(line.split()[1], line.split()[0]) for line in yard.notes()}
    assert len([pid for folder, pid in pids if folder == "other"]) == 1
    assert len([pid for folder, pid in pids if folder == "spool"]) <= 3


def test_reload_keeps_what_only_a_start_can_change(start_server: StartServer) -> None:
    """Another number of spoolers or another directory is told, and every child is replaced well."""
    yard = play(start_server, APP, "processes = 1\nspooler = spool\n", files=TWO)
    ini = yard.folder / "server.ini"
    ini.write_text(ini.read_text() + "spooler = other\nspooler-processes = 2\n")
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("spooler-processes = '2': takes effect at the next start, not at a reload")
    yard.server.wait_for("chain reload done")
    assert yard.ask("len(uwsgi.spoolers)") == 1
    yard.ask("where.spool()")
    eventually(lambda: len(yard.notes()) == 1)


def test_external_directory_is_written_and_never_run(start_server: StartServer) -> None:
    """It is among the spoolers, has pid 0, and its tasks wait for another server."""
    ini = "processes = 1\nspooler = spool\nspooler-external = other\n"
    yard = play(start_server, APP, ini, files=TWO)
    path = yard.ask("once.spool(n=1, spooler=uwsgi.spoolers[1])")
    yard.ask("once.spool(n=2)")
    yard.wait_for("once 2")
    assert tasks_in(yard, "other") == [os.path.basename(path.decode())]
    assert yard.ask("uwsgi.spooler_pids()[1:]") == [0]
    theirs = f"processes = 1\nspooler = {yard.folder / 'other'}\n"
    another = play(start_server, APP, theirs)
    another.wait_for("once 1")


def test_server_with_external_directories_only_may_enqueue(start_server: StartServer) -> None:
    """uWSGI's decorators refuse that; a plain `uwsgi.spool` works there, too."""
    app = "@spool\ndef once(task):\n    note('once')\n"
    yard = play(start_server, app, "processes = 1\nspooler-external = other\n", files=TWO)
    path = yard.ask("once.spool(n=1)")
    assert tasks_in(yard, "other") == [os.path.basename(path.decode())]


def test_ordered_runs_files_with_numbers_for_names(start_server: StartServer) -> None:
    """`spooler-ordered`: such files are tasks, by their number; without it they are garbage."""
    for ordered in (True, False):
        ini = "processes = 1\nspooler = spool\n" + "spooler-ordered = true\n" * ordered
        yard = play(start_server, APP, ini)
        late = yard.ask("once.spool(n='x', at=4_000_000_000)")
        task = Path(os.fsdecode(late)).read_bytes().replace(b"x", b"9")
        spool = yard.folder / "spool"
        for name in ("10", "9"):
            (spool / f".{name}").write_bytes(task)
        for name in ("10", "9"):
            os.rename(spool / f".{name}", spool / name)
        yard.ask("once.spool(n=2)")
        yard.wait_for("once 2")
        if ordered:
            yard.wait_for("once 9", "once 9")
            eventually(lambda: not (spool / "9").exists())  # noqa: B023
        else:
            assert (spool / "9").exists()


def test_max_tasks_counts_tasks(start_server: StartServer) -> None:
    """After two tasks another process goes on; signals do not count."""
    yard = play(start_server, APP, "processes = 1\nspooler = spool\nspooler-max-tasks = 2\n")
    yard.ask("[uwsgi.signal(17) for _ in range(3)] and None")
    (pid,) = yard.server.pids("spooler")
    yard.wait_for(*[f"heard {pid}"] * 3)
    for n in range(6):
        yard.ask(f"where.spool(n={n})")
    eventually(lambda: len(yard.notes()) == 9)
    counts = Counter(line.split()[0] for line in yard.notes() if not line.startswith("heard"))
    assert set(counts.values()) == {2}


def test_signal_as_task_counts_signals_too(start_server: StartServer) -> None:
    """`spooler-signal-as-task`: after two signals another process goes on."""
    ini = "processes = 1\nspooler = spool\nspooler-max-tasks = 2\nspooler-signal-as-task = true\n"
    yard = play(start_server, APP, ini)
    for n in range(1, 7):
        yard.ask("uwsgi.signal(17)")
        eventually(lambda: len(yard.notes()) == n)  # noqa: B023
    assert set(Counter(yard.notes()).values()) == {2}


def test_quiet_logs_no_good_task(start_server: StartServer) -> None:
    """`spooler-quiet` has failures told only; without it each task has two lines."""
    for quiet in (True, False):
        ini = "processes = 1\nspooler = spool\n" + "spooler-quiet = true\n" * quiet
        yard = play(start_server, APP, ini)
        yard.ask("once.spool(n=1)")
        yard.wait_for("once 1")
        eventually(lambda: not tasks_in(yard, "spool"))  # noqa: B023
        said = re.findall(r"managing request|done with task", str(yard.server.log))
        assert len(said) == (0 if quiet else 2)


def test_frequency_can_be_set_for_all(start_server: StartServer) -> None:
    """`set_spooler_frequency` is heard by every spooler at once, from any process; 0 undoes it."""
    app = APP + "\n@spoolraw\ndef again(task):\n    note('again')\n    return uwsgi.SPOOL_RETRY\n"
    yard = play(start_server, app, "processes = 1\nspooler = spool\nspooler-frequency = 600\n")
    yard.ask("uwsgi.set_spooler_frequency(1)")
    yard.ask("again.spool()")
    yard.wait_for("again", "again")
    yard.server.wait_for("will run again in 1 s")
    yard.ask("uwsgi.set_spooler_frequency(0)")
    yard.server.wait_for("will run again in 600 s")
    said = yard.ask("uwsgi.set_spooler_frequency(-1)")
    assert said.startswith("ValueError")


def test_spooler_import_is_there_before_the_first_task(start_server: StartServer) -> None:
    """A module of the spoolers' own, and the decorators in it, are known in every process."""
    more = "from uwsgidecorators import *\nimport app\n@spool\ndef mine(t):\n    app.note('mine')\n"
    for option in ("spooler-import", "spooler-python-import", "spooler-py-import"):
        ini = f"processes = 1\nspooler = spool\n{option} = more\n"
        yard = play(start_server, APP, ini, files={"more.py": more})
        yard.ask("sys.modules['more'].mine.spool()")
        yard.wait_for("mine")

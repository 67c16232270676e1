"""uwsgi.spool and what looks at the spool."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from tests.unit.facade.conftest import make_runtime, seat

from muleteer.facade.surface import Surface
from muleteer.runtime import Runtime
from muleteer.spool.store import Task
from muleteer.wire.packet import encode_packet, encode_vars
from muleteer.wire.spoolfile import encode_task


class Colour(IntEnum):
    RED = 3


def stored(runtime: Runtime, path: bytes, directory: str = "/spool/a") -> Task:
    """The task a store keeps under a path."""
    task = runtime.stores[directory].get_task(path)
    assert task is not None
    return task


def test_a_task_may_be_a_dict_keywords_or_both(uwsgi: Any, runtime: Runtime) -> None:
    """uWSGI takes a dict of bytes only; a keyword wins over the dict, which stays as it was."""
    message = {"a": "1", b"b": b"2"}
    path = uwsgi.spool(message, b="3", c="4")
    assert stored(runtime, path).vars == {b"a": b"1", b"b": b"3", b"c": b"4"}
    assert message == {"a": "1", b"b": b"2"}


def test_a_dict_may_be_named_as_uwsgi_s_documentation_does(uwsgi: Any, runtime: Runtime) -> None:
    """`send_to_spooler(message_dict=…, at=…)`; a var of that name is still one."""
    path = uwsgi.send_to_spooler(message_dict={"a": "1"}, at=5)
    assert stored(runtime, path).vars == {b"a": b"1", b"at": b"5"}
    assert stored(runtime, uwsgi.spool(message_dict="x")).vars == {b"message_dict": b"x"}


@pytest.mark.parametrize("form", [str, str.encode])
def test_a_handler_finds_what_it_asks_for_in_text_and_bytes(form: Callable[[str], Any]) -> None:
    """`task["foo"]` and `task[b"foo"]` alike; the keys are uWSGI's."""
    seen = Task(b"/spool/name", {b"foo": b"bar"}, b"the body").seen()
    assert list(seen) == ["spooler_task_name", b"foo", "body"]
    found = [seen[form(key)] for key in ("spooler_task_name", "foo", "body")]
    assert found == [b"name", b"bar", b"the body"]
    assert form("foo") in seen
    assert (seen.get(form("foo")), seen.get(form("fo"), 1), seen.get(5)) == (b"bar", 1, None)
    assert form("fo") not in seen
    with pytest.raises(KeyError, match="fo"):
        seen[form("fo")]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("é", "é".encode()),
        ("\udcff", b"\xff"),
        (b"\xff\x00", b"\xff\x00"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (7, b"7"),
        (2.5, b"2.5"),
        (Colour.RED, b"3"),
        (date(2026, 1, 2), b"2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), b"2026-01-02T03:04:00+00:00"),
        (PurePosixPath("/videos/clip.mp4"), b"/videos/clip.mp4"),
        ("", b""),
    ],
)
def test_text_bytes_numbers_dates_and_paths_are_kept(
    uwsgi: Any, runtime: Runtime, value: Any, kept: bytes
) -> None:
    """Each as the bytes one expects of it."""
    assert stored(runtime, uwsgi.spool(v=value)).vars == {b"v": kept}


@pytest.mark.parametrize("value", [None, True, [1, 2], {"a": 1}, object(), "\ud800"])
def test_what_cannot_be_stored_is_refused_by_its_key(uwsgi: Any, value: Any) -> None:
    """Nothing of the task is kept."""
    with pytest.raises(ValueError, match="'filename'"):
        uwsgi.spool(ok="1", filename=value)
    assert uwsgi.spooler_jobs() == []


@pytest.mark.parametrize("key", [1, None, ("a",)])
def test_a_key_is_str_or_bytes(uwsgi: Any, key: Any) -> None:
    """Others are refused by name."""
    with pytest.raises(ValueError, match="key"):
        uwsgi.spool({key: "1"})


def test_a_task_of_nothing_is_refused(uwsgi: Any) -> None:
    """A call without arguments is a slip, as in uWSGI; an empty dict is a task."""
    with pytest.raises(ValueError, match="nothing"):
        uwsgi.spool()
    assert uwsgi.spool({})


def test_an_empty_key_is_refused(uwsgi: Any) -> None:
    """uWSGI writes a file that it later deletes unread."""
    with pytest.raises(ValueError, match="empty"):
        uwsgi.spool({"": "1"})


def test_values_of_any_size_are_kept(uwsgi: Any, runtime: Runtime) -> None:
    """uWSGI keeps 70000 bytes modulo 65536, without a word."""
    assert stored(runtime, uwsgi.spool(v="x" * 70000)).vars == {b"v": b"x" * 70000}


@pytest.mark.parametrize("body", [b"\xff\x00", "text"])
def test_a_body_travels_outside_the_vars(uwsgi: Any, runtime: Runtime, body: Any) -> None:
    """As bytes, and str is encoded."""
    task = stored(runtime, uwsgi.spool({"body": body}))
    assert task.vars == {}
    assert task.body == (body if isinstance(body, bytes) else body.encode())


IN_AN_HOUR: list[Callable[[float], Any]] = [
    lambda now: now + 3600,
    lambda now: int(now) + 3600,
    lambda now: str(now + 3600),
    lambda now: str(int(now) + 3600).encode(),
    lambda now: datetime.fromtimestamp(now + 3600),  # naive: local time
    lambda now: datetime.fromtimestamp(now + 3600, UTC),
    lambda now: timedelta(hours=1),
]


@pytest.mark.parametrize("given", IN_AN_HOUR)
def test_a_due_time_may_be_number_text_date_or_delay(
    uwsgi: Any, runtime: Runtime, given: Callable[[float], Any]
) -> None:
    """uWSGI takes decimal text only; all of these mean the same time."""
    now = datetime.now(UTC).timestamp()
    uwsgi.spool(at=given(now))
    due = runtime.stores["/spool/a"].next_due()
    assert due is not None
    assert abs(due - now - 3600) < 30


@pytest.mark.parametrize(
    ("given", "due"),
    [
        (datetime(2033, 1, 1, 12), (2033, 1, 1, 11)),
        (datetime(2033, 7, 1, 12), (2033, 7, 1, 10)),
        (datetime(2032, 10, 31, 2, 30), (2032, 10, 31, 0, 30)),
        (datetime(2032, 10, 31, 2, 30, fold=1), (2032, 10, 31, 1, 30)),
        (datetime(2032, 3, 28, 2, 30), (2032, 3, 28, 1, 30)),
        (datetime(2033, 1, 1, 12, tzinfo=UTC), (2033, 1, 1, 12)),
        (datetime(2033, 1, 1, 12, tzinfo=timezone(timedelta(hours=-5))), (2033, 1, 1, 17)),
        (date(2033, 1, 1), (2032, 12, 31, 23)),
    ],
)
def test_a_date_without_a_zone_is_in_the_servers(
    uwsgi: Any,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    given: date,
    due: tuple[int, ...],
) -> None:
    """Rome's here: winter, summer, both passes of the doubled hour, the hour that is not."""
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    try:
        uwsgi.spool(at=given)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert runtime.stores["/spool/a"].next_due() == datetime(*due, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("at", ["soon", None, "-5", [1], True, "nan", float("inf"), b""])
def test_a_due_time_that_is_none_is_refused(uwsgi: Any, at: Any) -> None:
    """The error names `at`."""
    with pytest.raises(ValueError, match="at"):
        uwsgi.spool(at=at)


def test_a_task_goes_to_the_spooler_it_names(uwsgi: Any, runtime: Runtime) -> None:
    """By the directory's real path; without one to the first, as in uWSGI."""
    path = uwsgi.spool(spooler="/spool/../spool/b", a="1")
    task = stored(runtime, path, "/spool/b")
    assert task.vars[b"spooler"] == b"/spool/../spool/b"


@pytest.mark.parametrize("need", [False, True])
def test_a_spooler_is_woken_by_its_bell_only_where_no_file_system_does_it(
    uwsgi: Any, runtime: Runtime, need: bool
) -> None:
    """A spooler without inotify asks for it; one with it would be woken twice."""
    runtime.scoreboard.spoolers_need_bell = need
    uwsgi.spool(spooler="/spool/b", a="1")
    bells = runtime.switchboard.spooler_bells
    assert (bells["/spool/a"].rings, bells["/spool/b"].rings) == (0, need)  # type: ignore[attr-defined]


def test_a_spooler_that_is_not_there_is_refused(uwsgi: Any) -> None:
    """The error lists those there are."""
    with pytest.raises(ValueError, match="/spool/a, /spool/b"):
        uwsgi.spool(spooler="/tmp/elsewhere")


def test_the_path_is_bytes(uwsgi: Any) -> None:
    """As uWSGI returns it, under both names of the function."""
    assert isinstance(uwsgi.spool(a="1"), bytes)
    assert isinstance(uwsgi.send_to_spooler({"a": "1"}), bytes)


def test_jobs_of_every_spooler_are_listed(uwsgi: Any) -> None:
    """uWSGI lists the first one's only."""
    paths = {
        uwsgi.spool(n=str(n), spooler=place) for n, place in enumerate(["/spool/a", "/spool/b"])
    }
    assert set(uwsgi.spooler_jobs()) == paths


@pytest.mark.parametrize("form", [bytes, bytes.decode])
def test_a_waiting_task_can_be_looked_at(uwsgi: Any, form: Callable[[bytes], Any]) -> None:
    """By what spooler_jobs() returned (which uWSGI refuses) or by str; in a handler's form."""
    path = uwsgi.spool(a="1", body=b"B")
    assert uwsgi.spooler_get_task(form(path)) == {
        "spooler_task_name": path,
        b"a": b"1",
        "body": b"B",
    }
    assert uwsgi.spooler_get_task("/no/such/task") is None


def test_spooler_pids_have_a_zero_for_who_is_not_there(uwsgi: Any, runtime: Runtime) -> None:
    """In the order of the configuration."""
    assert uwsgi.spooler_pids() == [0, 0]
    seat(runtime, "spooler", 2, pid=77)
    assert uwsgi.spooler_pids() == [0, 77]
    assert uwsgi.spooler_pid() == 0


def test_external_spoolers_are_named_and_have_no_process() -> None:
    """They come last, with pid 0, and may be enqueued to."""
    uwsgi = Surface(make_runtime(spooler=("/spool/a",), spooler_external=("/other",)))
    assert uwsgi.spoolers == (b"/spool/a", b"/other")
    assert uwsgi.spooler_pids() == [0, 0]
    assert uwsgi.spool(spooler="/other")


def test_without_a_spooler_there_is_no_spool() -> None:
    """As in uWSGI, so that hasattr tells; the error says what to set."""
    uwsgi = Surface(make_runtime())
    assert not hasattr(uwsgi, "spool")
    assert uwsgi.i_am_the_spooler() is None
    assert uwsgi.SPOOL_OK == -2
    with pytest.raises(AttributeError, match="spooler = DIR"):
        uwsgi.spooler_jobs()


def test_i_am_the_spooler_in_a_spooler(uwsgi: Any, runtime: Runtime) -> None:
    """True there, None elsewhere."""
    assert uwsgi.i_am_the_spooler() is None
    seat(runtime, "spooler", 1)
    assert uwsgi.i_am_the_spooler() is True


def test_the_frequency_is_everyone_s(uwsgi: Any, runtime: Runtime) -> None:
    """Kept where all spoolers look, who are woken to see it; True as the answer."""
    assert uwsgi.set_spooler_frequency(3) is True
    assert runtime.scoreboard.spooler_frequency == 3
    assert all(bell.rings == 1 for bell in runtime.switchboard.spooler_bells.values())  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="negative"):
        uwsgi.set_spooler_frequency(-1)


def test_parsefile_reads_tasks_and_packets(uwsgi: Any, tmp_path: Path) -> None:
    """As bytes to bytes; None for what is neither."""
    pairs = [(b"a", b"1")]
    for data in (encode_task(pairs, b"BODY"), encode_packet(0, encode_vars(pairs))):
        (tmp_path / "file").write_bytes(data)
        assert uwsgi.parsefile(str(tmp_path / "file")) == {b"a": b"1"}
    for data in (b"", b"\x11\xff\xff\x00", b"\x00\x05\x00\x00\x01"):
        (tmp_path / "file").write_bytes(data)
        assert uwsgi.parsefile(str(tmp_path / "file")) is None
    assert uwsgi.parsefile(str(tmp_path / "gone")) is None

"""spool/index.py and spool/names.py: what is ready, what waits, in which order."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from muleteer.spool import names
from muleteer.spool.index import Index


def _name(sec: int, usec: int = 0, *, pid: int = 1, counter: int = 1, folder: bytes = b"") -> bytes:
    base = b"uwsgi_spoolfile_on_my_host_%d_%d_123_%d_%d" % (pid, counter, sec, usec)
    return folder + base


def _take_all(index: Index, now: float) -> list[bytes]:
    taken = []
    while (name := index.take(now)) is not None:
        taken.append(name)
    return taken


def test_a_name_has_uwsgis_six_parts() -> None:
    """Host, pid, counter, random number, seconds and microseconds, as uWSGI writes them."""
    host, pid, counter, rand, sec, usec = names.new_name()[len(names.PREFIX) :].rsplit(b"_", 5)
    assert host == os.fsencode(os.uname().nodename)
    assert int(pid) == os.getpid()
    assert all(part.isdigit() for part in (counter, rand, sec, usec))
    assert int(usec) < 1_000_000


def test_names_are_never_the_same() -> None:
    """The counter alone makes two names of one process differ, and orders them."""
    made = [names.new_name() for _ in range(100)]
    assert len(set(made)) == 100
    assert sorted(made, key=names.rank) == made


def test_the_order_is_the_time_not_the_producer() -> None:
    """An older task of a higher pid comes first, whatever the host is called."""
    older, newer = _name(99, 999_999, pid=70_000), _name(100, 0, pid=2)
    assert sorted([newer, older], key=names.rank) == [older, newer]


def test_priorities_come_by_number() -> None:
    """1, 2, 10, then what has none; in each the older first."""
    wanted = [
        _name(9, folder=b"1/"),
        _name(1, folder=b"2/"),
        _name(5, folder=b"10/"),
        _name(0),
        _name(3),
    ]
    assert sorted([*wanted[2:], *wanted[:2]], key=names.rank) == wanted


def test_a_strange_name_is_still_a_task() -> None:
    """What begins like a task but tells no time stands first, and its age is unknown."""
    strange = b"uwsgi_spoolfile_on_by_hand"
    assert sorted([_name(1), strange], key=names.rank)[0] == strange
    assert names.queued_at(strange) == 0.0


def test_a_name_tells_the_enqueue_time() -> None:
    """Seconds and microseconds come back as a wall time."""
    assert names.queued_at(_name(1_795_463_551, 250_000)) == 1_795_463_551.25


def test_a_temporary_name_is_no_task() -> None:
    """Neither we nor uWSGI take a draft for a task."""
    draft = names.temporary(names.new_name())
    assert names.is_temporary(draft)
    assert not draft.startswith(names.PREFIX)
    assert not draft.isdigit()


def test_a_ready_task_is_taken_once() -> None:
    """What is taken stays away until it is added again."""
    index = Index()
    index.add(_name(1))
    index.add(_name(1))
    assert index.take(0) == _name(1)
    assert index.take(1e12) is None
    index.hear(_name(1))
    assert index.take(1e12) is None
    index.add(_name(1))
    assert index.take(0) == _name(1)


def test_a_waiting_task_comes_when_it_is_due() -> None:
    """Not before its time; then in the order of the enqueue, among the others."""
    index = Index()
    index.add(_name(1), 100.0)
    index.add(_name(2))
    assert index.next_due() == 0.0
    assert _take_all(index, 99.9) == [_name(2)]
    assert index.next_due() == 100.0
    index.add(_name(3))
    assert _take_all(index, 100.0) == [_name(1), _name(3)]
    assert index.next_due() is None


def test_a_task_can_be_put_off_and_brought_forward() -> None:
    """The latest word counts."""
    index = Index()
    index.add(_name(1), 100.0)
    index.add(_name(1), 200.0)
    assert _take_all(index, 150) == []
    index.hear(_name(1))
    assert _take_all(index, 0) == [_name(1)]


def test_forgotten_tasks_do_not_come() -> None:
    """Neither ready nor waiting ones, and they are not waited for."""
    index = Index()
    index.add(_name(1))
    index.add(_name(2), 5.0)
    index.forget(_name(1))
    index.forget(_name(2))
    index.forget(_name(3))
    assert (index.next_due(), _take_all(index, 10), len(index)) == (None, [], 0)


def test_a_listing_begins_anew() -> None:
    """Only what is taken is still known; the listing brings back the rest."""
    index = Index()
    for sec in (1, 2):
        index.add(_name(sec))
    index.add(_name(3), 100.0)
    assert index.take(0) == _name(1)
    index.renew()
    assert [_name(sec) in index for sec in (1, 2, 3)] == [True, False, False]
    assert index.next_due() is None


def test_an_index_has_a_size_and_says_what_it_forgot() -> None:
    """Beyond it the later half goes: ready ones first by rank, then waiting ones by due time."""
    index = Index(most=10)
    for sec in range(8):
        index.add(_name(100 + sec), float(1000 - sec))
    assert index.is_whole(1e12)
    for sec in range(3):
        index.add(_name(sec))
    assert len(index) == 5
    assert _take_all(index, 0) == [_name(0), _name(1), _name(2)]
    assert index.next_due() == 993.0
    assert index.is_whole(994.9)
    assert _take_all(index, 994.9) == [_name(106), _name(107)]
    index.add(_name(9))
    assert not index.is_whole(995.0), "though something is ready"
    index.forget(_name(9))
    assert index.next_due() == 995.0, "there is more, and only a listing shows it"


def test_forgotten_ready_tasks_are_missed_when_the_others_are_taken() -> None:
    """The first by rank are kept; after them the index is not whole."""
    index = Index(most=4)
    for sec in range(5, 0, -1):
        index.add(_name(sec))
    assert index.is_whole(0.0)
    assert _take_all(index, 0) == [_name(1), _name(2)]
    assert not index.is_whole(0.0)
    assert index.next_due() == 0.0


actions = st.lists(
    st.tuples(st.sampled_from(["add", "delay", "hear", "forget", "take"]), st.integers(0, 5)),
    max_size=60,
)


@given(actions)
def test_the_index_agrees_with_a_plain_model(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, what is ready is taken once and in order."""
    index, model, taken = Index(), dict[bytes, float](), set[bytes]()
    for now, (step, number) in enumerate(steps):
        name = _name(number)
        if step == "take":
            ready = sorted((n for n, due in model.items() if due <= now), key=names.rank)
            assert index.take(now) == (ready[0] if ready else None)
            if ready:
                del model[ready[0]]
                taken.add(ready[0])
        elif step == "forget":
            index.forget(name)
            model.pop(name, None)
            taken.discard(name)
        elif step == "hear":
            index.hear(name)
            if name not in taken:
                model[name] = 0.0
        else:
            due = float(now + 3) if step == "delay" else 0.0
            index.add(name, due)
            taken.discard(name)
            model[name] = due
        assert (index.next_due() is None) == (not model)

"""When a process whose code is the application's for good may be ended where it is."""

from __future__ import annotations

import os
import signal as unix_signals
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from muleteer.errors import Retire
from muleteer.roles.mule import Mule


@pytest.fixture
def mule() -> Mule:
    """One that runs a program, as far as these rules look at it."""
    role: Any = Mule.__new__(Mule)
    role.row = SimpleNamespace(busy=False)
    role.on_its_own = True
    role._undisturbed = []
    role._asked_to_leave = False
    return role  # type: ignore[no-any-return]


def ask(mule: Mule) -> None:
    """The wish to leave, as its Unix signal brings it."""
    mule._note_wish(unix_signals.SIGTERM, None)


def test_a_program_is_ended_where_it_is_and_once(mule: Mule) -> None:
    """The second wish does not disturb what the first one began."""
    with pytest.raises(Retire):
        ask(mule)
    ask(mule)


def test_a_process_with_a_loop_of_ours_is_not(mule: Mule) -> None:
    """It hears the wish between two things."""
    mule.on_its_own = False
    ask(mule)


def test_what_it_has_in_hand_is_finished(mule: Mule) -> None:
    """A message, or a signal's handler: its row says busy."""
    mule.row.busy = True  # type: ignore[misc]
    ask(mule)


def test_between_taking_a_message_and_having_it_nothing_ends(mule: Mule) -> None:
    """The wish is heard at the end; not when by then a message is in hand."""
    with pytest.raises(Retire), mule.undisturbed():
        ask(mule)
        reached = True
    assert reached
    mule.on_its_own = True
    with mule.undisturbed():
        ask(mule)
        mule.row.busy = True  # type: ignore[misc]


def test_another_thread_hands_the_wish_to_the_main_thread(
    mule: Mule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is taking a message the main thread stays; then it is asked again."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    taking, go = threading.Event(), threading.Event()

    def take() -> None:
        with mule.undisturbed():
            taking.set()
            go.wait()

    thread = threading.Thread(target=take)
    thread.start()
    taking.wait()
    ask(mule)
    assert sent == []
    go.set()
    thread.join()
    assert sent == [(os.getpid(), unix_signals.SIGTERM)]
    with pytest.raises(Retire):
        ask(mule)

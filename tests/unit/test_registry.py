"""registry.py: what an application registered, and the numbers it is given."""

from __future__ import annotations

from functools import partial

import pytest

from muleteer.registry import AUTO_SIGNALS_FROM, MAX_SIGNAL, Registration, Registry


def test_a_number_nobody_registered_goes_to_any_worker() -> None:
    """'' is uWSGI's word for the first worker that is idle."""
    registry = Registry(signals={3: Registration("spooler", print)})
    assert registry.target_of(3) == "spooler"
    assert registry.target_of(4) == ""


def test_a_name_has_its_number_whatever_was_registered_before() -> None:
    """A signal that waits through a reload finds its function in the new code."""
    first, second = Registry(), Registry()
    second.signals[second.number_for("app.other")] = Registration("", print)
    assert first.number_for("app.tick") == second.number_for("app.tick")


def test_the_number_is_above_an_application_s_own() -> None:
    """0 to 255 stay the application's."""
    numbers = [Registry().number_for(f"app.f{n}") for n in range(500)]
    assert all(AUTO_SIGNALS_FROM <= number <= MAX_SIGNAL for number in numbers)


def test_two_functions_never_share_a_number() -> None:
    """A name whose number is taken gets the next free one; 64 is not the end, as in uWSGI."""
    registry = Registry()
    for n in range(2000):
        number = registry.number_for(f"app.f{n}")
        assert number not in registry.signals
        registry.signals[number] = Registration("", print)
    assert registry.number_for("app.f0") not in registry.signals


def test_when_every_number_is_taken_it_says_so() -> None:
    """ValueError, not an endless search."""
    registry = Registry()
    taken = Registration("", print)
    registry.signals = dict.fromkeys(range(AUTO_SIGNALS_FROM, MAX_SIGNAL + 1), taken)
    with pytest.raises(ValueError, match="taken"):
        registry.number_for("app.tick")


def test_a_handler_has_a_name_for_the_log() -> None:
    """Module and name of a function, and whatever else is called as Python shows it."""
    assert Registration("", Registry.target_of).name == b"muleteer.registry.Registry.target_of"
    assert Registration("", partial(print, 1)).name.startswith(b"functools.partial(")

"""What a task was called with is told, and nothing of it is run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from muleteer.spool.arguments import arguments_in


class Order:
    """An object of the application."""

    def __init__(self, number: int) -> None:
        self.number = number


class Basket(list[str]):
    """One that a pickle fills item by item."""


class Bomb:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("/nonexistent/bomb",)


def told(*args: Any, protocol: int = pickle.DEFAULT_PROTOCOL, **kwargs: Any) -> str | None:
    """What is told of a call with these arguments."""
    return arguments_in(
        {b"args": pickle.dumps(args, protocol), b"kwargs": pickle.dumps(kwargs, protocol)}
    )


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_stand_as_in_the_call(protocol: int) -> None:
    """Text, numbers, containers and dates are shown as Python writes them."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    values = (1, "x", [None, {"a": b"\xff"}], {2}, moment, timedelta(3), Decimal("1.5"))
    shown = told(*values, protocol=protocol, key=True)
    assert shown == ", ".join([*map(repr, values), "key=True"])


def test_no_arguments_are_an_empty_call() -> None:
    """A call without arguments is told as one."""
    assert told() == ""


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_objects_of_the_application_are_told_by_name(protocol: int) -> None:
    """Neither their class nor their module is imported; what they hold is shown."""
    shown = told(Order(7), Basket(["a"]), Order, OrderedDict(a=1), protocol=protocol)
    assert shown is not None
    assert f"<{__name__}.Order(" in shown
    assert "7" in shown
    assert f"<{__name__}.Basket(" in shown
    assert f"<{__name__}.Order>" in shown


def test_nothing_is_run() -> None:
    """A pickle that would call a function only names it."""
    assert told(Bomb()) == "<posix.mkdir('/nonexistent/bomb')>"


@pytest.mark.parametrize("data", [b"", b"junk", pickle.dumps((1,))[:-3], b"c\n\n.", b"]" * 9999])
def test_what_is_no_pickle_is_not_told(data: bytes) -> None:
    """Bytes from anywhere end in None, never in an exception."""
    assert arguments_in({b"args": data, b"kwargs": pickle.dumps({})}) is None


def test_task_without_arguments_has_none_to_tell() -> None:
    """A task of @spool without pass_arguments holds vars only."""
    assert arguments_in({b"a": b"b"}) is None

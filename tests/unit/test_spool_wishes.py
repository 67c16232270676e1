"""What the decorators of tasks may be asked for: good values are taken, others refused at once."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from muleteer.decorators.wishes import checked

GOOD: list[tuple[str, Any, Any]] = [
    ("retries", 0, 0),
    ("retries", math.inf, math.inf),
    ("backoff", "linear", "linear"),
    ("delay", timedelta(minutes=1), 60.0),
    ("delay", 0, 0),
    ("max_delay", 1.5, 1.5),
    ("give_up_after", timedelta(days=1), 86400.0),
    ("timeout", 30, 30),
    ("on_dead", print, print),
    ("keep_result", True, 86400.0),
    ("keep_result", 60, 60),
    ("keep_result", timedelta(hours=1), 3600.0),
    ("unique", True, True),
    ("unique", "{user}", "{user}"),
    ("unique", len, len),
    ("concurrency", 1, 1),
]


@pytest.mark.parametrize(("name", "value", "heard"), GOOD)
def test_good_value_is_taken(name: str, value: Any, heard: Any) -> None:
    """Times become seconds."""
    assert checked("spool", {name: value}) == {name: heard}


BAD: list[tuple[str, Any, str]] = [
    ("retries", -1, "no number of 0 or above"),
    ("retries", True, "no number of 0 or above"),
    ("retries", timedelta(1), "a time, not a number of runs"),
    ("backoff", "quick", "none of exponential, linear, fixed"),
    ("delay", "1", "no number of 0 or above"),
    ("max_delay", 0, "leaves no time at all"),
    ("timeout", math.nan, "no number of 0 or above"),
    ("keep_result", False, "no number of 0 or above"),
    ("keep_result", 0, "leaves no time at all"),
    ("unique", False, "no True, no text like '{user}', no function"),
    ("unique", "", "no True"),
    ("unique", 7, "no True"),
    ("concurrency", 0, "no number from 1 to 1000"),
    ("concurrency", True, "no number from 1 to 1000"),
    ("concurrency", 1.5, "no number from 1 to 1000"),
]


@pytest.mark.parametrize(("name", "value", "why"), BAD)
def test_bad_value_is_refused_where_it_is_written(name: str, value: Any, why: str) -> None:
    """With the decorator, the name and the value."""
    with pytest.raises(ValueError, match=why) as caught:
        checked("spool", {name: value})
    assert str(caught.value).startswith(f"@spool: {name} = {value!r} ")


def test_what_is_not_there_is_named_with_what_is() -> None:
    """A misspelt keyword, and something that cannot be called."""
    with pytest.raises(TypeError, match=r"@spool takes no 'retry'; it takes .*retries.*unique"):
        checked("spool", {"retry": 1})
    with pytest.raises(TypeError, match="on_dead = 7 cannot be called"):
        checked("spool", {"on_dead": 7})

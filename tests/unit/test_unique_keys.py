"""The key of a unique call: equal arguments have one, different ones do not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.decorators.unique import Unique, check_fields, key_of


class Colour(Enum):
    """A value of the application."""

    RED = 1


def key(unique: Unique = True, /, **arguments: Any) -> bytes | None:
    """The key of a call of `shop.pay`."""

    def call(function: Callable[..., Any]) -> Any:
        return function(**arguments)

    return key_of("shop.pay", unique, arguments, call)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(PLAIN, PLAIN)
def test_keys_differ_exactly_where_the_arguments_do(one: Any, other: Any) -> None:
    """A value and its copy have one key; another value has another."""
    assert key(a=one) == key(a=one)
    same = repr(one) == repr(other) or _sorted(one) == _sorted(other)
    assert (key(a=one) == key(a=other)) is same


def _sorted(value: Any) -> str:
    """A text that does not depend on the order of dicts."""
    if isinstance(value, Mapping):
        return f"{{{sorted((k, _sorted(v)) for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{[_sorted(item) for item in value]}]"
    return repr(value)


def test_order_of_sets_and_dicts_makes_no_difference() -> None:
    """Nor that of keywords."""
    assert key(a={"x": 1, "y": 2}) == key(a={"y": 2, "x": 1})
    assert key(a={"abc", "def", "ghi"}) == key(a={"ghi", "def", "abc"})
    assert key(a=1, b=2) == key(b=2, a=1)


def test_types_make_a_difference() -> None:
    """1, "1", b"1" and True are four arguments."""
    assert len({key(a=value) for value in (1, "1", b"1", True, 1.0)}) == 5


def test_readable_as_long_as_it_is_short() -> None:
    """A long one is a hash, still with the function's name."""
    assert key("{a}", a=7) == b"shop.pay:7"
    assert key(a=[date(2026, 1, 2), Colour.RED]) == (
        b"shop.pay:{'a': [datetime.date(2026, 1, 2), <Colour.RED: 1>]}"
    )
    long = key(a="x" * 1000)
    assert long is not None
    assert long.startswith(b"shop.pay:sha256:")
    assert long != key(a="x" * 1001)


def test_text_takes_the_named_arguments() -> None:
    """The others may differ; attributes and items can be named."""
    assert key("{user}", user=1, n=1) == key("{user}", user=1, n=2)
    assert key("{user}-{n:03}", user=1, n=7) == b"shop.pay:1-007"
    assert key("{d[x]}", d={"x": 5}) == b"shop.pay:5"
    with pytest.raises(ValueError, match=r"unique = '{user}': the call has no 'user'"):
        key("{user}", n=1)


def test_function_makes_the_key_or_none() -> None:
    """Anything plain; None is no key."""
    assert key(lambda user, n: (user, n % 2), user=1, n=7) == b"shop.pay:[1, 1]"
    assert key(lambda **_: "x") == b"shop.pay:x"
    assert key(lambda **_: None) is None


def test_object_has_no_key() -> None:
    """The error says which, and what to do."""
    with pytest.raises(ValueError, match=r"no key of the object .*unique=function"):
        key(a=object())


def test_text_is_checked_where_it_is_written() -> None:
    """A name that is no argument is an error of the decorator's line."""

    def pay(user: int, n: int) -> None: ...

    def anything(**kwargs: int) -> None: ...

    known = inspect.signature(pay).parameters
    check_fields("spool", "{user.id}-{n}", known)
    check_fields("spool", "{usr}", inspect.signature(anything).parameters)
    check_fields("spool", True, known)
    with pytest.raises(ValueError, match="names 'usr', and the function takes user, n"):
        check_fields("spool", "{usr}", known)

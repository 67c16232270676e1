"""Substitution: circles, sizes, unreadable files. What works stands in tests/data/ini.

Runs in: the test process.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.config.machine import settings_of

from muleteer.errors import BadValue


def test_a_circle_is_an_error_that_shows_it() -> None:
    """Placeholders that lead back to themselves name the circle and the line."""
    with pytest.raises(BadValue) as caught:
        settings_of("[uwsgi]\na = %(b)\nb = %(c)x\nc = %(a)\n")
    assert str(caught.value) == (
        "app.ini:2: a = '%(b)': its value leads back to itself (a -> b -> c -> a); break the circle"
    )


def test_a_value_may_not_name_itself() -> None:
    """`a = %(a)` is the smallest circle."""
    with pytest.raises(BadValue, match=r"app\.ini:2: .*\(a -> a\)"):
        settings_of("[uwsgi]\na = %(a)\n")


def test_a_repeated_key_may_name_its_first_value() -> None:
    """The second `path` may build on the first one; that is no circle."""
    settings = settings_of("[uwsgi]\npath = /a\npath = %(path)/b\n")
    assert settings.opt["path"] == [b"/a", b"/a/b"]


def test_values_cannot_grow_without_bound() -> None:
    """A chain in which every value holds the next one twice is refused, not computed."""
    doubled = "".join(f"v{n} = %(v{n + 1})%(v{n + 1})\n" for n in range(40))
    with pytest.raises(BadValue, match="more than 1048576 letters"):
        settings_of(f"[uwsgi]\n{doubled}v40 = x\n")


def test_a_deep_chain_is_refused_before_it_hurts() -> None:
    """Thousands of placeholders in a row are an error with a line, no crash."""
    chain = "".join(f"v{n} = %(v{n + 1})\n" for n in range(3000))
    with pytest.raises(BadValue, match=r"app\.ini:\d+: .*nested too deeply"):
        settings_of(f"[uwsgi]\n{chain}v3000 = x\n")


def test_an_unreadable_content_file_names_its_line() -> None:
    """`@(file)` of a file that is not there says so, with the place."""
    with pytest.raises(BadValue) as caught:
        settings_of("[uwsgi]\nkey = @(nope.txt)\n")
    assert str(caught.value) == (
        "app.ini:2: key = '@(nope.txt)': @(nope.txt) cannot be read:"
        " No such file or directory; correct the path"
    )


def test_content_from_elsewhere_is_refused() -> None:
    """`@(exec://…)` does not silently become text."""
    with pytest.raises(BadValue, match="is no file; only files can be read here"):
        settings_of("[uwsgi]\nkey = @(exec://date)\n")


def test_the_command_line_decides_what_a_placeholder_stands_for() -> None:
    """`--set-placeholder` on the command line beats the file's own value."""
    settings = settings_of("[uwsgi]\nroot = /a\nchdir = %(root)/x\n", "--set-ph=root=/b")
    assert settings.chdir == "/b/x"


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(
    st.integers(-99, 99),
    st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 99)), min_size=1, max_size=6),
)
def test_sums_are_worked_out_from_left_to_right(start: int, steps: list[tuple[str, int]]) -> None:
    """A sum has no precedence: each operator takes what stands before it."""
    value = start
    for operator, number in steps:
        value = {"+": value + number, "-": value - number, "*": value * number}[operator]
    words = " ".join(f"{operator} {number}" for operator, number in steps)
    opt = settings_of(f"[uwsgi]\nn = {start}\nsum = %(n {words})\n").opt
    assert opt["sum"] == str(value).encode()

"""Tables, ages, sizes and progress, as a terminal and as a file get them."""

from __future__ import annotations

import io

import pytest

from muleteer.cli import screen
from muleteer.cli.screen import Screen, age, moment, size


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (0.9, "0s"), (-5, "0s"), (59, "59s"), (60, "1m 0s"), (3599, "59m 59s"),
     (3600, "1h 0m"), (90061, "1d 1h"), (86400 * 400, "400d 0h")],
)  # fmt: skip
def test_age_has_the_two_largest_units(seconds: float, said: str) -> None:
    """Enough to judge by, short enough for a column."""
    assert age(seconds) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (5 << 20, "5.0 MB"), (3 << 40, "3072.0 GB")],
)
def test_size_has_a_unit(size_bytes: int, said: str) -> None:
    """The largest unit that is not too large."""
    assert size(size_bytes) == said


def test_moment_is_told_from_now() -> None:
    """Before and after now."""
    assert moment(1000.0, 1090.0).endswith("(1m 30s ago)")
    assert moment(1090.0, 1000.0).endswith("(in 1m 30s)")


def test_table_is_aligned_and_plain_in_a_file() -> None:
    """Columns are as wide as their widest cell; no escapes, no blanks at the end."""
    out = io.StringIO()
    rows = [(("1", "x"), "red"), (("22222", ""), "")]
    assert Screen(out, io.StringIO()).table(("A", "LAST"), rows) == 2
    assert out.getvalue() == "A      LAST\n1      x\n22222\n"


def test_table_has_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless NO_COLOR says otherwise."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    Screen(out, io.StringIO()).table(("A",), [(("1",), "red")])
    assert out.getvalue() == "\033[1mA\033[0m\n\033[31m1\033[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    Screen(out, io.StringIO()).table(("A",), [(("1",), "red")])
    assert out.getvalue() == "A\n1\n"


def test_table_does_not_hold_its_rows() -> None:
    """Past the first thousand each row is told before the next one is made."""
    out = io.StringIO()

    def rows() -> object:
        for number in range(5000):
            if number > 1000:
                assert f"{number - 2}\n" in out.getvalue()[-20:]
            yield ((str(number),), "")

    assert Screen(out, io.StringIO()).table(("N",), rows()) == 5000  # type: ignore[arg-type]


def test_progress_is_for_terminals_and_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, rewritten, and gone at the end; a pipe gets none."""
    monkeypatch.setattr(screen, "_PROGRESS_AFTER_S", -1.0)
    err = Terminal()
    assert len(list(Screen(io.StringIO(), err).watched(range(3000), "counted"))) == 3000
    assert err.getvalue() == "\rcounted: 1,024 \rcounted: 2,048 \r\033[K"
    err = Terminal()
    assert len(list(Screen(io.StringIO(), err).watched(range(1000), "counted"))) == 1000
    assert err.getvalue() == ""
    quiet = io.StringIO()
    list(Screen(io.StringIO(), quiet).watched(range(3000), "counted"))
    assert quiet.getvalue() == ""

"""Which bytes a Range header asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.serve.static import byte_range


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=1-2", range(1, 3)),
        ("bytes=5-", range(5, 10)),
        ("bytes=5-99", range(5, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("bytes=10-", range(10, 10)),
        ("bytes=10-20", range(10, 10)),
        ("bytes=-0", range(10, 10)),
        ("bytes=-", None),
        ("bytes=3-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("", None),
    ],
)
def test_a_range_is_read(text: str, asked: range | None) -> None:
    """One part, clipped to the file; an empty one is not there; anything else is everything."""
    assert byte_range(text, 10) == asked


@given(st.text(), st.integers(0, 1 << 40))
def test_a_range_never_leaves_the_file(text: str, size: int) -> None:
    """Whatever a client writes."""
    part = byte_range(text, size)
    assert part is None or (0 <= part.start <= part.stop <= size)

"""A client cannot fill the log."""

from __future__ import annotations

from typing import Any

from muleteer.serve.complaints import Complaints


def test_the_first_is_heard_and_the_next_are_counted(caplog: Any) -> None:
    """One in ten seconds, with how many were held back."""
    now = 100.0
    complaints = Complaints(lambda: now)
    assert complaints.may("status 400")
    assert [complaints.may("status 400") for _ in range(3)] == [False] * 3
    assert complaints.may("status 413")
    now = 110.0
    assert complaints.may("status 400")
    assert "3 more of this kind (status 400)" in caplog.text
    assert not complaints.may("status 400")

"""What became of a reload, from two pictures of the server."""

from __future__ import annotations

from typing import Any

from muleteer.cli.exits import Exit
from muleteer.cli.reloading import outcome


def picture(done: int = 0, failed: int = 0, generation: int = 1, pid: int = 7) -> dict[str, Any]:
    failure = {"generation": 2, "at": 1.0, "why": "app: no"} if failed else None
    reloads = {"done": done, "failed": failed, "last_failure": failure}
    return {"pid": pid, "muleteer": {"generation": generation, "reloads": reloads}}


def test_it_goes_on_until_a_count_changes() -> None:
    """What was done or failed before does not count."""
    assert outcome(picture(done=3, failed=1), picture(done=3, failed=1)) is None


def test_the_new_code_serves() -> None:
    """0, and its generation."""
    found = outcome(picture(done=1), picture(done=2, generation=3))
    assert found == (Exit.OK, "generation 3 serves")


def test_the_old_code_goes_on() -> None:
    """Not 0, and why."""
    found = outcome(picture(), picture(failed=1))
    assert found == (Exit.FAILED, "app: no; generation 1 goes on serving")


def test_another_server_is_no_success() -> None:
    """It was started anew meanwhile."""
    found = outcome(picture(), picture(done=1, pid=8))
    assert found is not None
    assert found[0] == Exit.FAILED

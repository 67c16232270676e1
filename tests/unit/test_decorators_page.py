"""docs/decorators.md names what there is, with the defaults that it has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import muleteer.decorators as decorators

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "decorators.md").read_text()

ELSEWHERE = {"Lock", "Spooled", "SpooledCall", "Wishes"}
"""Types, which nobody writes; and docs/spooler.md has the wishes."""


def test_every_name_is_on_the_page() -> None:
    """What can be imported is said."""
    public = set(decorators.__all__) - ELSEWHERE
    assert [name for name in sorted(public) if not re.search(rf"\b{name}\b", PAGE)] == []


@pytest.mark.parametrize("name", ["signal", "timer", "rbtimer", "cron", "filemon", "lock"])
def test_every_keyword_is_on_the_page_with_its_default(name: str) -> None:
    """As the function's signature has it."""
    parameters = inspect.signature(getattr(decorators, name)).parameters.values()
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and one.name != "blocking":
            default = repr(one.default).replace("'", '"')
            assert f"{one.name}={default}" in PAGE, f"{name}: {one.name}={default}"


@pytest.mark.parametrize("name", ["timer", "mstimer"])
def test_a_table_row_that_says_the_same_means_it(name: str) -> None:
    """`mstimer` has the keywords of `timer`; `rbtimer` and `cron` have them, too."""
    keywords = [
        one.name
        for one in inspect.signature(getattr(decorators, name)).parameters.values()
        if one.kind is one.KEYWORD_ONLY
    ]
    for other in ("timer", "rbtimer", "cron"):
        assert set(keywords) <= set(inspect.signature(getattr(decorators, other)).parameters)

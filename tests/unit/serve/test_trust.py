"""Which packets are taken where."""

from __future__ import annotations

import pytest

from muleteer.serve.trust import EVERYTHING, taken_on

RPC, SIGNAL, SPOOL = 173, 110, 17


@pytest.mark.parametrize(
    ("declared", "exposed", "takes"),
    [
        ((), True, set()),
        ((), False, EVERYTHING),
        ((":1 rpc",), True, {RPC}),
        ((":1 rpc", ":1 spool signal"), True, {RPC, SIGNAL, SPOOL}),
        ((":1 all",), True, EVERYTHING),
        ((":1 none",), False, set()),
        ((":1 signal",), False, {SIGNAL}),
        ((":2 all",), True, set()),
        ((":2 none",), False, EVERYTHING),
    ],
)
def test_what_is_declared_for_an_address_counts(
    declared: tuple[str, ...], exposed: bool, takes: set[int]
) -> None:
    """Nothing from other machines unless it says so; everything from this one unless it says so."""
    assert taken_on(":1", declared, exposed=exposed) == takes

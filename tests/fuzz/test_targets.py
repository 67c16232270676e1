"""The parsers of everything that comes from outside, on what was never meant to be sent.

Short here, on every run; campaign.py does millions, guided by coverage, and commits what it finds.
"""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.seeds import mutations, seeds
from tests.fuzz.targets import TARGETS

SEED = int(os.environ.get("MULETEER_SEED", "1"))
EACH_TARGET = pytest.mark.parametrize("name", TARGETS)


@EACH_TARGET
def test_the_corpus_holds(name: str) -> None:
    """Whatever a campaign found interesting or fatal once."""
    known = seeds(name)
    assert len(known) >= 4
    for data in known:
        TARGETS[name](data)


@EACH_TARGET
def test_spoiled_input_is_refused_in_our_words(name: str) -> None:
    """A few thousand variations; the seed is printed, MULETEER_SEED repeats it."""
    print("seed", SEED)
    for data in itertools.islice(mutations(name, SEED), 3000):
        try:
            TARGETS[name](data)
        except BaseException as error:
            raise AssertionError(f"{name}({data!r})") from error


@EACH_TARGET
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_in_our_words(name: str, data: bytes) -> None:
    """Not even a beginning that makes sense."""
    TARGETS[name](data)


@pytest.mark.parametrize("fault", [ZeroDivisionError, RecursionError])
def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch, fault: type[Exception]) -> None:
    """The harness can fail: a parser that raises what is not ours is caught at it."""

    def faulty(_data: bytes) -> object:
        raise fault

    monkeypatch.setattr("tests.fuzz.targets.decode_task", faulty)
    with pytest.raises(fault):
        TARGETS["spoolfile"](b"")


def test_a_parser_that_depends_on_the_cuts_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness can fail: requests that are other ones when they come in pieces."""
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    TARGETS["http"](whole)
    monkeypatch.setattr("tests.fuzz.targets.pieces", lambda data: [data, data])
    with pytest.raises(AssertionError):
        TARGETS["http"](whole)

"""Every lifecycle sentence can be said: its words take its fields."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest

from muleteer import journal

EXAMPLES: dict[str, Any] = {"str": "x", "int": 3, "float": 1.5, "Iterable[str]": ["a", "b"]}
NOT_SENTENCES = {"configure", "identify"}


def sentences() -> list[Callable[..., None]]:
    functions = inspect.getmembers(journal, inspect.isfunction)
    return [f for name, f in functions if name not in NOT_SENTENCES and not name.startswith("_")]


@pytest.mark.parametrize("say", sentences(), ids=lambda f: f.__name__)
def test_sentence_takes_its_fields(
    say: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saying it logs exactly one line of the `muleteer` logger, with every field in place."""
    monkeypatch.setattr(journal.log, "propagate", True)
    arguments = [EXAMPLES[p.annotation] for p in inspect.signature(say).parameters.values()]
    with caplog.at_level(logging.DEBUG, logger="muleteer"):
        say(*arguments)
    (record,) = caplog.records
    assert record.name == "muleteer"
    assert record.getMessage()
    assert "%" not in record.getMessage()


def test_there_are_sentences() -> None:
    """The test above reads something."""
    assert len(sentences()) > 20


def test_line_says_who_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line carries the role and the pid, and its level when it is more than information."""
    journal.identify("worker 2")
    monkeypatch.setattr(journal.os, "getpid", lambda: 77)
    record = logging.LogRecord("muleteer", logging.WARNING, "", 0, "slow", (), None)
    assert journal._Formatter().format(record).endswith("[worker 2 77] WARNING: slow")
    journal.identify("muleteer")

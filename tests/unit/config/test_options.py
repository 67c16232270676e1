"""The table itself: complete, without doubles, and the pages written from it are fresh.

Runs in: the test process.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.unit.config.machine import settings_of

from muleteer.config.option import ARGUMENTS, Option, Origin, Pair
from muleteer.config.options import BY_NAME, GROUPS, TABLE, Settings
from muleteer.config.reference import help_text, page, shown
from muleteer.config.uwsgi_names import FLAGS, NAMES, OPTIONAL, SHORTS

ROOT = Path(__file__).resolve().parents[3]
VERDICTS = ("same", "ours", "differs: ", "accepted: ", "not yet: ")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_option_says_what_it_is(row: Option) -> None:
    """Each has a sentence, a verdict with its reason, and an example that it takes itself."""
    assert row.help[0].isupper()
    assert row.help.endswith(".")
    assert row.uwsgi.startswith(VERDICTS)
    assert row.uwsgi.split(":")[0] in ("same", "ours") or len(row.uwsgi.split(": ", 1)[1]) > 10
    if row.example != "VALUE":
        row.read(Pair(Origin(ARGUMENTS), row.name, row.example))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_name_is_uwsgis_unless_it_is_ours(row: Option) -> None:
    """A name that uWSGI does not have is marked as ours."""
    assert row.uwsgi.startswith("ours") == (row.name not in NAMES)
    assert all(name in NAMES for name in row.aliases)


def test_no_name_is_declared_twice() -> None:
    """Long names and letters belong to one option each."""
    names = [name for row in TABLE for name in row.names]
    letters = [row.short for row in TABLE if row.short]
    assert len(set(names)) == len(names) == len(BY_NAME)
    assert len(set(letters)) == len(letters)


def test_letters_mean_what_they_mean_in_uwsgi() -> None:
    """Every letter of ours is uWSGI's, for the same option."""
    for row in TABLE:
        if row.short:
            assert SHORTS[row.short] in row.names
    ours = {SHORTS[row.short] for row in TABLE if row.short}
    assert {name for name in SHORTS.values() if name in BY_NAME} == ours


def test_flags_are_flags_on_both_sides() -> None:
    """An option stands alone on our command line exactly if it does on uWSGI's."""
    for row in TABLE:
        for name in row.names:
            if name in NAMES:
                stands_alone = row.flag or row.bare is not None
                assert stands_alone == (name in FLAGS or name in OPTIONAL), name


def test_every_group_has_its_first_option() -> None:
    """The groups' first fields are fields, in the table's order."""
    fields = [field.name for field in dataclasses.fields(Settings)]
    places = [fields.index(name) for name in GROUPS]
    assert places == sorted(places)
    assert all(row.group for row in TABLE)


def test_settings_cannot_be_changed() -> None:
    """Settings are a value; nobody turns a knob later."""
    settings = settings_of("[uwsgi]\n")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.processes = 9  # type: ignore[misc]


def test_the_page_of_options_is_fresh() -> None:
    """docs/options.md is what the table says; write it anew when this fails."""
    written = (ROOT / "docs" / "options.md").read_text()
    assert written == page(), "run: python -m muleteer.config.reference > docs/options.md"


def test_the_page_names_every_option() -> None:
    """Each option of ours and each of uWSGI's stands on the page."""
    text = page()
    assert all(f"`{name}`" in text for name in BY_NAME)
    assert all(f"`{name}`" in text for name in NAMES)


def test_help_is_narrow_and_names_what_works() -> None:
    """`--help` fits 80 columns and lists each option that has an effect."""
    text = help_text()
    assert max(len(line) for line in text.splitlines()) < 80
    for row in TABLE:
        assert (f"--{row.name}" in text) or row.accepted or row.not_yet


def test_the_configuration_shown_gives_the_same_again() -> None:
    """What show-config prints can be read back and means the same."""
    first = settings_of("[uwsgi]\nenv = A=1\nenv = B=2\nprocesses = 3\nshow-config\n", "-L")
    again = settings_of(shown(first).replace("http-socket = :8000\n", ""))
    for row in TABLE:
        assert getattr(again, row.field) == getattr(first, row.field)

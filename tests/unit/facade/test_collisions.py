"""facade/collisions.py: other distributions' files under our names."""

from __future__ import annotations

from pathlib import Path

import pytest

import muleteer
from muleteer.facade import collisions
from muleteer.facade.collisions import find_collisions

OURS = str(Path(muleteer.__file__).parent.parent)


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What importlib.metadata knows, as a dict."""
    known: dict[str, object] = {}

    def distribution(name: str) -> object:
        if name not in known:
            raise collisions.importlib.metadata.PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(collisions.importlib.metadata, "distribution", distribution)
    return known


def test_our_own_files_are_no_collision() -> None:
    """A clean environment says nothing; a directory that is not there is passed over."""
    assert find_collisions([OURS, "/no/such/place", OURS]) == []


def test_a_file_that_comes_first_wins_and_is_named(
    tmp_path: Path, nothing_installed: dict[str, object]
) -> None:
    """uWSGI's uwsgidecorators.py earlier on the path: which file, and what to uninstall."""
    (tmp_path / "uwsgidecorators.py").write_text("import uwsgi\n")
    nothing_installed["uwsgi"] = object()
    [sentence] = find_collisions([str(tmp_path), OURS])
    assert str(tmp_path / "uwsgidecorators.py") in sentence
    assert "not muleteer's" in sentence
    assert "pip uninstall uwsgi`" in sentence


def test_a_file_that_comes_later_loses_and_is_named(tmp_path: Path) -> None:
    """Ours is imported; the other one is said to be there all the same."""
    (tmp_path / "uwsgidecorators.py").write_text("import uwsgi\n")
    [sentence] = find_collisions([OURS, str(tmp_path)])
    assert "finds muleteer's" in sentence
    assert str(tmp_path / "uwsgidecorators.py") in sentence


def test_a_file_of_ours_that_was_overwritten_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_installed: dict[str, object]
) -> None:
    """django-uwsgi-ng installed later puts its decorators.py in our directory."""
    for name in ("muleteer", "django_uwsgi", "uwsgidecorators"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("# muleteer\n")
    (tmp_path / "django_uwsgi/decorators.py").write_text("import uwsgi\n")
    nothing_installed["django-uwsgi-ng"] = object()
    monkeypatch.setattr(muleteer, "__file__", str(tmp_path / "muleteer/__init__.py"))
    [sentence] = find_collisions([str(tmp_path)])
    assert "django_uwsgi" in sentence
    assert "pip uninstall django-uwsgi-ng`" in sentence
    assert "install muleteer again" in sentence

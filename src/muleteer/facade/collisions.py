"""Whether another installed distribution brings modules of our names, and which of them wins.

Our wheel has `uwsgidecorators` and `django_uwsgi`; PyPI's `uwsgi`, `pyuwsgi`, `uwsgidecorators` and
`django-uwsgi-ng` have files of these names, too, and what is installed last overwrites.
`uwsgi` itself is no file of ours: inside the server it is in `sys.modules` and always wins.

Runs in: the master, at start. Imports nothing it finds.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import muleteer

__all__ = ["find_collisions"]

_OURS = {"uwsgidecorators": ("__init__.py",), "django_uwsgi": ("__init__.py", "decorators.py")}
_RIVALS = {
    "uwsgidecorators": ("uwsgidecorators", "uwsgi", "pyuwsgi"),
    "django_uwsgi": ("django-uwsgi-ng", "django-uwsgi"),
}


def find_collisions(path: Sequence[str] | None = None) -> list[str]:
    """Return a sentence for each of our names that somebody else has as well: which file wins.

    Reads directories on `sys.path` (or `path`) and a few files; never the list of all packages.
    """
    searched = [os.path.abspath(place or ".") for place in (sys.path if path is None else path)]
    ours = os.path.dirname(os.path.dirname(os.path.abspath(muleteer.__file__)))
    sentences = [_about(name, searched, ours) for name in _OURS]
    return [sentence for sentence in sentences if sentence]


def _about(name: str, searched: Iterable[str], ours: str) -> str:
    """Compare what `import name` finds with what we brought."""
    found = list(dict.fromkeys(_files(name, searched)))
    strangers = [file for file in found if not _is_ours(name, file, ours)]
    if not strangers:
        return ""
    rivals = _installed(_RIVALS[name])
    way_out = f"`pip uninstall {' '.join(rivals)}`" if rivals else "remove it"
    if found[0] in strangers:
        return (
            f"`import {name}` finds {found[0]}, which is not muleteer's: {way_out},"
            " and install muleteer again if a file of ours was overwritten"
        )
    return f"`import {name}` finds muleteer's {found[0]} and not {strangers[0]}: {way_out}"


def _files(name: str, searched: Iterable[str]) -> Iterator[str]:
    """Every file `import name` could find, the one that wins first."""
    for place in searched:
        for file in (os.path.join(place, name, "__init__.py"), os.path.join(place, name + ".py")):
            if os.path.exists(file):
                yield file


def _is_ours(name: str, file: str, ours: str) -> bool:
    """Does the file lie where ours do and speak of us in every module we ship there?"""
    folder = os.path.dirname(file)
    if folder != os.path.join(ours, name):
        return False
    return all(_speaks_of_us(os.path.join(folder, module)) for module in _OURS[name])


def _speaks_of_us(file: str) -> bool:
    try:
        with open(file, encoding="utf-8") as text:
            return "muleteer" in text.read(4096)
    except OSError:
        return False


def _installed(distributions: Iterable[str]) -> list[str]:
    found = []
    for name in distributions:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(name)
    return found

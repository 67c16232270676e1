"""Mounts: several applications under one roof, each with a path of its own.

The web server says which one is asked in SCRIPT_NAME; with `manage-script-name` we find it by the
path. Of two that fit the longer one is meant.

Runs in: workers; assembled in the zygote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from muleteer.config.options import Settings
from muleteer.serve.static import StaticFiles, serves_files

__all__ = ["Mounts", "under_one_roof"]

Application = Callable[..., Any]


class Mounts:
    """A WSGI application that hands each request to the one it is for."""

    def __init__(
        self, applications: Mapping[str, Application], usual: Application, *, manages: bool
    ) -> None:
        self._applications = {_plain(path): app for path, app in applications.items()}
        self._longest_first = sorted(self._applications, key=len, reverse=True)
        self._usual = self._applications.get("", usual)
        self._manages = manages

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Find the application, and give it its own part of the path."""
        found = self._by_path(environ) if self._manages else self._by_name(environ)
        answer: Iterable[bytes] = found(environ, start_response)
        return answer

    def _by_name(self, environ: dict[str, Any]) -> Application:
        return self._applications.get(_plain(environ["SCRIPT_NAME"]), self._usual)

    def _by_path(self, environ: dict[str, Any]) -> Application:
        path: str = environ["PATH_INFO"]
        for mount in self._longest_first:
            if mount and (path == mount or path.startswith(mount + "/")):
                environ["SCRIPT_NAME"] = mount
                environ["PATH_INFO"] = path[len(mount) :]
                return self._applications[mount]
        return self._usual


def under_one_roof(
    settings: Settings, main: Application, mounts: Mapping[str, Application]
) -> Application:
    """What a worker calls: static files in front of the applications, each at its place.

    `main` is what answers where no mounted one does, unless that is to be the first of them.
    """
    application = main
    if mounts:
        application = Mounts(mounts, main, manages=settings.manage_script_name)
    return StaticFiles(settings, application) if serves_files(settings) else application


def _plain(path: str) -> str:
    """A mount's path as SCRIPT_NAME is written: with a slash in front and none at the end."""
    path = path.strip("/")
    return f"/{path}" if path else ""

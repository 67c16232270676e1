"""Static files: a WSGI application in front of another, which answers what the options map.

The kernel sends the file (`wsgi.file_wrapper`); what is not there is the application's.

Rules:
1. A file is served only if its real path lies under the mapped directory or a `static-safe` one:
   neither `..` nor a symbolic link leads out.
2. Only GET and HEAD are answered, only regular files are sent, and nothing is listed.
3. Nothing is remembered between requests: a file that changes is another one at once.

Runs in: workers.
"""

from __future__ import annotations

import mimetypes
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import IO, Any

from muleteer.config.options import Settings
from muleteer.errors import AppNotLoaded
from muleteer.serve.request import WSGIApplication

__all__ = ["StaticFiles", "byte_range", "serves_files"]

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], object]

_FORM_OF_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z", re.ASCII)
_LONGEST_NUMBER = 18


def serves_files(settings: Settings) -> bool:
    """Do the options map anything?"""
    return bool(settings.static_map or settings.static_map2 or settings.check_static)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where files of some paths lie."""

    prefix: str
    directory: str
    keeps_prefix: bool

    def candidate(self, path: str) -> str | None:
        """The file a path would be, not looked at; None when the path is not of this place."""
        if not path.startswith(self.prefix):
            return None
        rest = path if self.keeps_prefix else path[len(self.prefix) :]
        if rest and not rest.startswith("/") and not self.prefix.endswith("/"):
            return None  # /static is no prefix of /staticky
        return os.path.join(self.directory, rest.lstrip("/"))


class StaticFiles:
    """Answers what is a file, and passes everything else on."""

    def __init__(self, settings: Settings, application: WSGIApplication) -> None:
        self._application = application
        self._places = list(_places(settings))
        safe = (*settings.static_safe, *(place.directory for place in self._places))
        self._roots = tuple(os.path.join(os.path.realpath(root), "") for root in safe)
        self._indexes = settings.static_index
        self._skipped = settings.static_skip_ext
        self._expires = [_rule(text) for text in settings.static_expires]
        self._uri_expires = [_rule(text) for text in settings.static_expires_uri]
        self._types = _types(settings)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or let the application answer."""
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            found = self._find(environ["PATH_INFO"])
            if found is not None:
                return self._send(*found, environ, start_response)
        return self._application(environ, start_response)

    # -- finding -------------------------------------------------------------------------

    def _find(self, path: str) -> tuple[str, IO[bytes], os.stat_result] | None:
        if "\0" in path or path.endswith(self._skipped):
            return None
        name = os.fsdecode(path.encode("latin-1"))
        for place in self._places:
            candidate = place.candidate(name)
            opened = None if candidate is None else self._open(candidate)
            if opened is not None:
                return opened
        return None

    def _open(self, candidate: str) -> tuple[str, IO[bytes], os.stat_result] | None:
        for path in (candidate, *(os.path.join(candidate, index) for index in self._indexes)):
            real = os.path.realpath(path)
            if real.startswith(self._roots):
                opened = _open_regular(real)
                if opened is not None:
                    return path, *opened
        return None

    # -- answering -----------------------------------------------------------------------

    def _send(
        self,
        path: str,
        file: IO[bytes],
        seen: os.stat_result,
        environ: Mapping[str, Any],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        tag = f'"{seen.st_mtime_ns:x}-{seen.st_size:x}"'
        headers = [("Last-Modified", formatdate(seen.st_mtime, usegmt=True)), ("ETag", tag)]
        headers += self._freshness(path, environ)
        if _is_known(environ, tag, seen.st_mtime):
            file.close()
            start_response("304 Not Modified", headers)
            return ()
        kind = self._types.get(os.path.splitext(path)[1].lower())
        headers = [*([("Content-Type", kind)] if kind else []), *headers]
        return _send_part(file, seen, tag, headers, environ, start_response)

    def _freshness(self, path: str, environ: Mapping[str, Any]) -> Headers:
        """How long it may be kept, by its file's name or by its URI."""
        uri = str(environ.get("REQUEST_URI", ""))
        rules = ((path, self._expires), (uri, self._uri_expires))
        for text, expiries in rules:
            for pattern, seconds in expiries:
                if pattern.search(text):
                    when = formatdate(time.time() + seconds, usegmt=True)
                    return [("Expires", when), ("Cache-Control", f"max-age={seconds}")]
        return []


def _send_part(
    file: IO[bytes],
    seen: os.stat_result,
    tag: str,
    headers: Headers,
    environ: Mapping[str, Any],
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Send all of it, or the range that was asked for."""
    size = seen.st_size
    part = byte_range(environ.get("HTTP_RANGE", ""), size) if _may_part(environ, tag) else None
    headers.append(("Accept-Ranges", "bytes"))
    if part is None:
        start_response("200 OK", [*headers, ("Content-Length", str(size))])
    elif not part:
        file.close()
        unsatisfied = [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")]
        start_response("416 Range Not Satisfiable", [*headers, *unsatisfied])
        return ()
    else:
        file.seek(part.start)
        headers.append(("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}"))
        start_response("206 Partial Content", [*headers, ("Content-Length", str(len(part)))])
    wrapper: Callable[[IO[bytes]], Iterable[bytes]] = environ["wsgi.file_wrapper"]
    return wrapper(file)


def byte_range(text: str, size: int) -> range | None:
    """The bytes a Range header asks for; None: all of them, empty: none of them is there.

    Several ranges are answered with all, as RFC 9110 allows.
    """
    match = _FORM_OF_RANGE.match(text.strip())
    if match is None or match[0] == "bytes=-" or len(match[0]) > 2 * _LONGEST_NUMBER:
        return None
    first, last = match[1], match[2]
    if not first:
        return range(max(0, size - int(last)), size)
    start, stop = int(first), int(last) + 1 if last else size
    if last and stop <= start:
        return None
    return range(start, max(start, min(stop, size)))


def _is_known(environ: Mapping[str, Any], tag: str, changed: float) -> bool:
    """Does the client have it? A tag counts before a date."""
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        return tags.strip() == "*" or tag in (
            each.strip().removeprefix("W/") for each in tags.split(",")
        )
    since = _date(environ.get("HTTP_IF_MODIFIED_SINCE", ""))
    return since is not None and int(changed) <= since


def _may_part(environ: Mapping[str, Any], tag: str) -> bool:
    """Is a range of what the client has in part a range of this?"""
    condition = environ.get("HTTP_IF_RANGE")
    return "HTTP_RANGE" in environ and condition in (None, tag)


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def _open_regular(path: str) -> tuple[IO[bytes], os.stat_result] | None:
    """Open a file if it is one and we may; a fifo or a device is none, and is not waited for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    seen = os.fstat(fd)
    if not stat.S_ISREG(seen.st_mode):
        os.close(fd)
        return None
    return open(fd, "rb", buffering=0), seen


# -- what the options say ------------------------------------------------------------------


def _places(settings: Settings) -> Iterator[_Place]:
    """In uWSGI's order: the directories to check first, then the maps."""
    for directory in settings.check_static:
        yield _Place("", directory, keeps_prefix=True)
    for options, keeps_prefix in ((settings.static_map, False), (settings.static_map2, True)):
        for text in options:
            prefix, _, directory = text.partition("=")
            yield _Place(prefix, os.path.abspath(directory), keeps_prefix)


def _rule(text: str) -> tuple[re.Pattern[str], int]:
    pattern, seconds = text.rsplit(None, 1)
    return re.compile(pattern), int(seconds)


def _types(settings: Settings) -> dict[str, str]:
    """File name endings and their types: the system's, and those of `mimefile` on top."""
    files = [path for path in mimetypes.knownfiles if os.path.isfile(path)]
    if settings.mimefile:
        files.append(settings.mimefile)
    try:
        known = mimetypes.MimeTypes(files)
    except OSError as error:
        raise AppNotLoaded(
            f"{settings.where('mimefile')}: {error.strerror}; correct the option"
        ) from None
    found = {**known.types_map[False], **known.types_map[True]}
    return {".gz": "application/gzip", ".bz2": "application/x-bzip2", **found}

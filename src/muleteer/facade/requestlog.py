"""`uwsgi`'s words on the line that the running request leaves in the log.

Runs in: workers, while a request runs; elsewhere they have no effect.
"""

from __future__ import annotations

from muleteer.runtime import Runtime

__all__ = ["RequestLog"]


class RequestLog:
    """The functions of `uwsgi` about the request log."""

    def __init__(self, runtime: Runtime) -> None:
        self._stage = runtime.stage

    def set_logvar(self, key: str | bytes, value: str | bytes, /) -> None:
        """Set a variable of this request's line, for `%(key)` in `log-format` and for JSON."""
        notes = self._stage.notes
        if notes is not None:
            notes.logvars[_text(key)] = _text(value)

    def get_logvar(self, key: str | bytes, /) -> bytes | None:
        """Return what `set_logvar` set in this request, None when it did not."""
        notes = self._stage.notes
        value = notes.logvars.get(_text(key)) if notes else None
        return None if value is None else value.encode("utf-8", "surrogateescape")

    def log_this_request(self) -> None:
        """Have this request leave a line, also under `disable-logging`."""
        notes = self._stage.notes
        if notes is not None:
            notes.is_wanted = True


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return value
    raise TypeError(f"expected str or bytes, not {type(value).__name__}")

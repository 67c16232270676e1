"""A line of a crontab, `*/5 * * * *`: which minute matches next. The grammar is `cronsim`'s.

Not here: uWSGI's five numbers (`cron.py`), and a clock.
Runs in: anywhere.

What Debian's cron understands in the five fields is understood: lists, ranges, steps, names of
months and days, `L` for the last day; and `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`,
`@yearly`, `@annually`. A day and a weekday that both do not begin with a star may match either.

Daylight saving, as Debian's cron treats it: a job whose minute and hour do not begin with a star
runs once when the clock skips or repeats its time; any other follows the wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

__all__ = ["CrontabSpec", "zone_named"]

_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SOME_DAY: Final = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CrontabSpec:
    """Five fields that can match; ValueError when they cannot, with the words of `cronsim`."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __post_init__(self) -> None:
        if len(self._fields()) != 5:
            raise ValueError(
                f"cron: {self.text!r} is no line of a crontab: it has five fields,"
                " minute hour day month weekday"
            )
        try:
            following = self.next_after(_SOME_DAY)
        except CronSimError as error:
            reason = str(error).lower().replace("-of-", " of the ")
            raise ValueError(f"cron: {self.text!r}: {reason}") from None
        if following is None:
            raise ValueError(f"cron: {self.text!r} never comes")

    @property
    def is_fixed_time(self) -> bool:
        """Whether daylight saving neither adds nor loses a run."""
        return not any(field.startswith("*") for field in self._fields()[:2])

    def next_after(self, after: datetime) -> datetime | None:
        """The first instant later than `after` at which the job runs, in `after`'s own zone.

        None when there is none within fifty years.
        """
        for following in CronSim(" ".join(self._fields()), after):
            # The library counts on the wall: in a repeated hour a fixed time may lie behind us.
            if following.astimezone(UTC) > after.astimezone(UTC):
                return following
        return None

    def _fields(self) -> list[str]:
        text = self.text.strip()
        return _NICKNAMES.get(text.lower(), text).split()


def zone_named(name: str) -> tzinfo:
    """The time zone of that name; ValueError when this machine knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"cron: no time zone {name!r} on this machine: write one like 'Europe/Rome'"
            " (the zones come with Debian's tzdata)"
        ) from None

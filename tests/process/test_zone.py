"""The time zone of the application is the clock's."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.harness import Server, apps

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
"""

# What Django does with TIME_ZONE while it is imported.
ZONED = "import os, time\nos.environ['TZ'] = 'XXX-9'\ntime.tzset()\n" + apps.HELLO


def test_application_that_sets_its_zone_sets_the_clocks(start_server: StartServer) -> None:
    """After an import that sets TZ, as Django's does, the master lives in that zone, too."""
    server = start_server(ini=INI, files={"app.py": ZONED}, env={"TZ": "UTC0"})
    before, after = _stamp(server, r"\] muleteer .* starts"), _stamp(server, r"\] ready:")
    assert timedelta(hours=9) <= after - before < timedelta(hours=9, minutes=5)


def _stamp(server: Server, pattern: str) -> datetime:
    line = server.wait_for(pattern).string
    found = re.match(r"\S+ \S+", line)
    assert found
    return datetime.strptime(found[0], "%Y-%m-%d %H:%M:%S")

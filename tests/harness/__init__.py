"""The harness: the real server under test, real uWSGI beside it, a private nginx, raw clients.

It is no mock and imports nothing of muleteer's: what it sees is what a person at the shell sees.
Every helper that waits or checks has a test in tests/process/test_harness.py that it can fail.

Runs in: the test process.
"""

from __future__ import annotations

from tests.harness.clients import Client, Response, http_raw, uwsgi_packet, uwsgi_request
from tests.harness.nginx import Nginx
from tests.harness.processes import Process
from tests.harness.reference import Reference
from tests.harness.running import Died, LeftBehind
from tests.harness.server import Server
from tests.harness.waiting import TimedOut, eventually

__all__ = [
    "Client",
    "Died",
    "LeftBehind",
    "Nginx",
    "Process",
    "Reference",
    "Response",
    "Server",
    "TimedOut",
    "eventually",
    "http_raw",
    "uwsgi_packet",
    "uwsgi_request",
]

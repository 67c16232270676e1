"""Tasks that wait on disk: where they lie, how they are claimed and how they end.

For applications: `status(path)` tells what has become of a task, `cancel(path)` takes it back.

Runs in: anywhere.
"""

from muleteer.spool.looking import State, Status, status
from muleteer.spool.steering import cancel

__all__ = ["State", "Status", "cancel", "status"]

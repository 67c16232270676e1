"""The options: their table, and the settings that are read by it.

Runs in: anywhere.
"""

from muleteer.config.options.table import BY_NAME, FIXED, GROUPS, TABLE, OptView, Settings

__all__ = ["BY_NAME", "FIXED", "GROUPS", "TABLE", "OptView", "Settings"]

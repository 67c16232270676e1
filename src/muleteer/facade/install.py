"""Puts `uwsgi` where `import uwsgi` finds it; nowhere but inside the server.

Runs in: the zygote, before the application is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType

from muleteer.facade.surface import Surface
from muleteer.runtime import Runtime

__all__ = ["install"]


def install(runtime: Runtime) -> ModuleType:
    """Make `import uwsgi` give this process's server, and return that module.

    A library that asked before, in vain, is not asked again: import it after this.
    """
    module = Surface(runtime)
    sys.modules["uwsgi"] = module
    return module

"""django-uwsgi's module name for the decorators; they stand in `muleteer.decorators`.

Runs in: anywhere.
"""

from muleteer.decorators import *  # noqa: F403
from muleteer.decorators import __all__  # noqa: F401 - the same names, and none besides

"""uWSGI's module name for the decorators; they stand in `muleteer.decorators`.

Runs in: anywhere.
"""

import muleteer.decorators
from muleteer.decorators import *  # noqa: F403
from muleteer.decorators.server import uwsgi

__all__ = [*muleteer.decorators.__all__]

if uwsgi is not None:  # there `import *` brings the server's module along, and apps count on it
    __all__ += ["uwsgi"]

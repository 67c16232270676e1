"""muleteer: a preforking application server with task decorators as its native language."""

from muleteer.errors import Drop, Retry

__version__ = "0.1.0"

__all__ = ["Drop", "Retry", "__version__"]

"""muleteer: a preforking application server with task decorators as its native language."""

from muleteer.errors import DeadlinePassed, Drop, Retry

__version__ = "0.1.0"

__all__ = ["DeadlinePassed", "Drop", "Retry", "__version__"]

"""muleteer: a preforking application server with task decorators as its native language."""

__version__ = "0.1.0"

__all__ = ["__version__"]

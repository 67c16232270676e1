"""Loading the application: the `uwsgi` module, its framework, its imports, and what went wrong.

Not here: finding the WSGI callable (serve/loader.py).
Runs in: the zygote; a command of the shell that runs a task itself.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback

from muleteer.errors import MuleteerError
from muleteer.facade.install import install
from muleteer.runtime import Runtime
from muleteer.serve import loader

__all__ = ["begin_to_load", "end_loading", "prepare_to_share", "print_app_traceback", "reason"]

_DJANGO = "muleteer.contrib.django.boot"
"""Loaded by name, and only for an application that is Django's."""


def prepare_to_share(runtime: Runtime) -> None:
    """Have `import uwsgi` work, and import what every child shares in any case."""
    settings = runtime.settings
    loader.prepare_process(settings)
    install(runtime)
    if settings.shared_import or not settings.lazy_apps:
        _set_up_django(runtime)
    loader.import_modules(settings, "shared_import")


def begin_to_load(runtime: Runtime) -> None:
    """Import what is to be there before the application."""
    if runtime.settings.lazy_apps:
        _set_up_django(runtime)
    for field in ("import_", "spooler_import"):
        loader.import_modules(runtime.settings, field)


def _set_up_django(runtime: Runtime) -> None:
    is_django = (runtime.settings.module or "").startswith("django.")
    if is_django or "DJANGO_SETTINGS_MODULE" in os.environ:
        importlib.import_module(_DJANGO).prepare(runtime.settings)


def end_loading(runtime: Runtime) -> None:
    """Go where the application works; care for the connections of a Django, whoever set it up."""
    settings = runtime.settings
    if settings.chdir2:
        loader.change_directory(settings.chdir2, settings.where("chdir2"))
    if "django" in sys.modules:
        django = importlib.import_module(_DJANGO)
        django.close_before_fork()
        runtime.around = django.around_task


def reason(error: BaseException) -> str:
    """Why the application could not be loaded, in one line."""
    if isinstance(error, MuleteerError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"the code called sys.exit({error.code!r}) while it was imported"
    return f"{type(error).__name__}: {error}"


def print_app_traceback(error: Exception) -> None:
    """Print the application's traceback without our frames and the import system's."""
    frames = error.__traceback__
    here = os.path.dirname(os.path.dirname(__file__))
    while frames is not None and (
        frames.tb_frame.f_code.co_filename.startswith((here, "<frozen importlib"))
        or frames.tb_frame.f_code.co_filename == importlib.__file__
    ):
        frames = frames.tb_next
    # no frame is left of a SyntaxError: its own lines name the file
    traceback.print_exception(type(error), error, frames)

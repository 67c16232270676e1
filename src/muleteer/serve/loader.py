"""From `module = pkg.mod:callable` to the application, with errors that name the way out.

It imports the application's code; what the code registers meanwhile is the facade's business.

Runs in: the zygote.
"""

from __future__ import annotations

import difflib
import glob
import importlib
import importlib.util
import os
import pkgutil
import site
import sys
import types
from collections.abc import Callable
from typing import Any

from muleteer.config.options import Settings
from muleteer.errors import AppNotLoaded

__all__ = [
    "change_directory",
    "describe",
    "import_modules",
    "load_application",
    "load_callable",
    "load_mounts",
    "no_application",
    "nothing_there",
    "prepare_process",
]

Application = Callable[..., Any]


# -- the process before the import ------------------------------------------------------


def prepare_process(settings: Settings) -> None:
    """Set directory, environment and `sys.path` as uWSGI does before it imports anything."""
    for name in settings.unenv:
        os.environ.pop(name, None)
    for pair in settings.env:
        name, _, value = pair.partition("=")
        os.environ[name] = value
    if settings.chdir:
        change_directory(settings.chdir, settings.where("chdir"))
    if settings.virtualenv:
        _add_virtualenv(settings.virtualenv, settings.where("virtualenv"))
    sys.path.insert(0, ".")
    for path in settings.pythonpath:
        for expanded in sorted(glob.glob(path)) or [path]:
            sys.path.insert(0, expanded)
    sys.argv = ["uwsgi"]


def change_directory(path: str, origin: str) -> None:
    """Change to a directory, or say which option named one that is not there."""
    try:
        os.chdir(path)
    except OSError as error:
        raise AppNotLoaded(f"{origin}: {error.strerror}; create it or correct the option") from None


def _add_virtualenv(home: str, origin: str) -> None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = os.path.join(home, "lib", version, "site-packages")
    if not os.path.isdir(packages):
        raise AppNotLoaded(
            f"{origin}: no {packages} there; the environment must be of this Python"
            f" ({version}), or install muleteer into that environment and start it from there"
        )
    before = list(sys.path)
    site.addsitedir(packages)
    sys.path[:] = [p for p in sys.path if p not in before] + before  # its packages come first
    sys.prefix = sys.exec_prefix = os.path.abspath(home)


# -- imports ----------------------------------------------------------------------------


def import_modules(settings: Settings, field: str) -> None:
    """Import an option's modules for what they register; one with a slash or `.py` is a file."""
    for index, name in enumerate(getattr(settings, field)):
        origin = settings.where(field, index)
        if "/" in name or name.endswith(".py"):
            _load_file(name, origin, _pythonized(name))
        else:
            _import(name, origin)


def load_application(settings: Settings) -> Application | None:
    """Return the application the options name; None when they name none."""
    if settings.wsgi_file:
        origin = settings.where("wsgi_file")
        name = "uwsgi_file_" + _pythonized(settings.wsgi_file)
        return _find(_load_file(settings.wsgi_file, origin, name), settings.callable, origin)
    if settings.module:
        return load_callable(settings.module, settings.where("module"), settings.callable)
    return None


def load_mounts(settings: Settings) -> dict[str, Application]:
    """Return the applications of `mount = /path=app` by their paths, in the order of the option."""
    mounts = {}
    for index, text in enumerate(settings.mount):
        path, _, name = text.partition("=")
        origin = settings.where("mount", index)
        if name.endswith(".py") or "/" in name:
            module = _load_file(name, origin, "uwsgi_file_" + _pythonized(name))
            mounts[path] = _find(module, settings.callable, origin)
        else:
            mounts[path] = load_callable(name, origin, settings.callable)
    return mounts


def load_callable(text: str, origin: str, usual: str = "application") -> Application:
    """Import `module:callable`, `module:factory()` or, with the usual name, `module`."""
    name, _, attribute = text.partition(":")
    return _find(_import(name, origin), attribute or usual, origin)


def no_application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 500, and say what is missing."""
    start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
    return [b"No application is loaded here: set `module` or `wsgi-file`.\n"]


def nothing_there(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer 404: the server of files has no application behind them."""
    body = b"Not Found\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("404 Not Found", headers)
    return [body]


def describe(settings: Settings) -> str:
    """Name what is loaded, for the log."""
    return settings.module or settings.wsgi_file or ", ".join(settings.import_) or "nothing"


def _import(name: str, origin: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != name and not name.startswith(missing + "."):
            raise  # the module is there; something *it* imports is missing
        raise AppNotLoaded(f"{origin}: {_not_found(name, missing)}") from None


def _not_found(name: str, missing: str) -> str:
    parent, _, leaf = missing.rpartition(".")
    if parent:
        around = [m.name for m in pkgutil.iter_modules(_paths_of(parent))]
        where = f"in package {parent}"
    else:
        around = [m.name for m in pkgutil.iter_modules()]
        where = f"on sys.path ({', '.join(p or '.' for p in sys.path[:3])}, …)"
    near = difflib.get_close_matches(leaf, around, 1)
    guess = f"; did you mean {'.'.join(filter(None, (parent, near[0])))}?" if near else ""
    return f"there is no module {missing!r} {where}{guess or '; check chdir and pythonpath'}"


def _paths_of(package: str) -> list[str]:
    return list(getattr(sys.modules.get(package), "__path__", []))


def _pythonized(path: str) -> str:
    """The name uWSGI makes of a path; pickles and task files hold it."""
    return path.removesuffix(".py").replace(".", "_").replace("/", "_")


def _load_file(path: str, origin: str, name: str) -> types.ModuleType:
    """Load a file as a module of that name, once: who imports it by its own name gets the same.

    uWSGI runs the file again for every name it is asked for by, and registers all of it twice.
    """
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        raise AppNotLoaded(
            f"{origin}: there is no such file in {os.getcwd()}; correct the path or chdir"
        )
    loaded = _loaded_from(full)
    if loaded is not None:
        sys.modules[name] = loaded
        return loaded
    source = importlib.machinery.SourceFileLoader(name, full)
    spec = importlib.util.spec_from_file_location(name, full, loader=source)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    for alias in (name, *_own_name(full)):
        sys.modules[alias] = module
    source.exec_module(module)
    return module


def _loaded_from(full: str) -> types.ModuleType | None:
    """Return the module that was loaded from this file already."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.abspath(file) == full:
            return module
    return None


def _own_name(full: str) -> list[str]:
    """Return the name under which `import` would find this very file, if there is one."""
    stem, ending = os.path.splitext(os.path.basename(full))
    if ending != ".py" or not stem.isidentifier() or stem in sys.modules:
        return []
    found = importlib.util.find_spec(stem)
    same = found is not None and found.origin and os.path.realpath(found.origin) == full
    return [stem] if same else []


# -- the callable -----------------------------------------------------------------------


def _find(module: types.ModuleType, attribute: str, origin: str) -> Application:
    call = attribute.endswith("()")
    name = attribute[:-2] if call else attribute
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise AppNotLoaded(f"{origin}: {_no_attribute(module, name, '()' * call)}")
        found = getattr(found, part)
    if call:
        found = found()
    if not callable(found):
        raise AppNotLoaded(
            f"{origin}: {attribute} is of type {type(found).__name__} and cannot be called;"
            " name a function, a class or an object with __call__"
        )
    return found  # type: ignore[no-any-return]


def _no_attribute(module: types.ModuleType, name: str, call: str) -> str:
    elsewhere = _submodule_with(module, name)
    if elsewhere:
        return (
            f"{module.__name__} has no {name}; it is in {elsewhere}: write {elsewhere}:{name}{call}"
        )
    near = difflib.get_close_matches(name, dir(module), 1)
    guess = f"did you mean {near[0]}?" if near else "name it with `callable = …` or module:callable"
    return f"{module.__name__} has no {name}; {guess}"


def _submodule_with(module: types.ModuleType, name: str) -> str | None:
    """Find a submodule that defines `name`.

    The usual mistake is a package instead of its module.
    """
    found = sorted(
        (info.name for info in pkgutil.iter_modules(getattr(module, "__path__", []))),
        key=lambda leaf: (leaf not in ("wsgi", "app", "application"), leaf),
    )
    for leaf in found[:20]:
        full = f"{module.__name__}.{leaf}"
        try:
            if hasattr(importlib.import_module(full), name):
                return full
        except Exception:  # noqa: BLE001 - a guess may fail in any way; it is only a hint
            continue
    return None

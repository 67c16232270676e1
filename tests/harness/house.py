"""The rules of the house, read from the source with `ast`: floors, cycles, pure rooms, doors.

It works on names and texts alone, so every rule can be tried on a small made-up tree.

Runs in: the test process.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HOUSE = "muleteer"

FLOORS = {
    "__main__": 10,
    "cli": 9,
    "contrib": 9,
    "testing": 9,
    "master": 8,
    "zygote": 8,
    "roles": 7,
    "facade": 6,
    "serve": 6,
    "runtime": 5,
    "spool": 4,
    "rpc": 4,
    "erlang": 4,
    "ipc": 3,
    "registry": 3,
    "cluster": 3,
    "config": 2,
    "wire": 1,
    "clock": 1,
    "errors": 0,
    "journal": 0,
    "decorators": 0,
}
"""Each room's floor (docs/architecture.md); a room that is not here has no place in the house."""

SIDEWAYS = {
    (f"{HOUSE}.master.boot", "zygote"),  # the one assembler: it starts the first zygote
    (HOUSE, "errors"),  # what the application raises: `from muleteer import Retry, Drop`
}
"""The imports between rooms of one floor that are meant to be."""

PURE = (
    "wire",
    "clock",
    "master.crew",
    "master.supervision",
    "master.waking",
    "master.policy",
    "master.roster",
    "spool.verdict",
)
TOUCHING = {
    "asyncio",
    "fcntl",
    "mmap",
    "multiprocessing",
    "os",
    "select",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
}
"""What a pure room must not import: the operating system and its clock."""

DOORS = {
    "httptools": ("wire.http1",),
    "cronsim": ("clock.crontab",),
    "setproctitle": ("ipc.title",),
    "uvicorn": ("serve.asgi",),
    "watchfiles": ("roles.watcher",),
    "nats": ("cluster",),
    "django": ("contrib.django",),
    "uwsgi": ("decorators",),  # not a package: whatever server's module runs the decorators
}
"""Through which rooms a package of others comes into the house."""

LATE = {"uvicorn", "watchfiles", "nats", "django", "uwsgi"}
"""Optional packages: imported inside a function, in their own room, where they are needed."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by whom and how."""

    module: str
    target: str
    line: int
    is_late: bool = False
    is_typing: bool = False

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def read_sources(root: Path) -> dict[str, str]:
    """Every module under a folder of packages, by its dotted name; a package by its own name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path.read_text()
    return found


def imports(sources: Mapping[str, str]) -> list[Import]:
    """Every import of every module; `from a import b` is of a.b where that is a module."""
    return [one for name in sources for one in _imports_of(name, sources)]


# -- the rules: each returns its violations as sentences ------------------------------------


def upward(sources: Mapping[str, str]) -> list[str]:
    """Imports that do not point to a lower floor or stay in their room."""
    found = [f"{name}: the room has no floor" for name in sources if _floor(name) is None]
    for one in imports(sources):
        if not _is_ours(one.module) or not _is_ours(one.target) or one.target == HOUSE:
            continue
        here, there = room(one.module), room(one.target)
        if here == there or (one.module, there) in SIDEWAYS:
            continue
        if FLOORS.get(there, 99) >= FLOORS.get(here, -1):
            found.append(f"{one}: floor {FLOORS.get(there)} from floor {FLOORS.get(here)}")
    return found


def cycles(sources: Mapping[str, str]) -> list[str]:
    """Rings of modules that import each other while they load."""
    graph: dict[str, set[str]] = {name: set() for name in sources}
    for one in imports(sources):
        if one.target in graph and not one.is_late and not one.is_typing:
            graph[one.module].add(one.target)
    return [" -> ".join(ring) for ring in _rings(graph)]


def impure(sources: Mapping[str, str]) -> list[str]:
    """Imports of the operating system in a pure room."""
    return [
        f"{one}: the room is pure"
        for one in imports(sources)
        if _is_in(one.module, PURE) and one.target.partition(".")[0] in TOUCHING
    ]


def wrong_doors(sources: Mapping[str, str]) -> list[str]:
    """Packages of others that come in through a room that is not theirs."""
    ours = {name.partition(".")[0] for name in sources}
    return [
        f"{one}: {package} comes in through {DOORS.get(package) or 'no room yet'} only"
        for one in imports(sources)
        if (package := one.target.partition(".")[0]) not in sys.stdlib_module_names
        and package not in ours
        and not _is_in(one.module, DOORS.get(package, ()))
    ]


def tied_decorators(sources: Mapping[str, str]) -> list[str]:
    """What the decorators import besides `uwsgi` and the standard library."""
    return [
        f"{one}: the decorators run on real uWSGI, too"
        for one in imports(sources)
        if _is_in(one.module, ("decorators",))
        and not _is_in(one.target, ("decorators",))
        and one.target.partition(".")[0] not in {"uwsgi"} | sys.stdlib_module_names
    ]


def late(sources: Mapping[str, str]) -> list[str]:
    """Imports inside functions, but for optional packages."""
    return [
        f"{one}: inside a function"
        for one in imports(sources)
        if one.is_late and one.target.partition(".")[0] not in LATE
    ]


def sleeps(sources: Mapping[str, str]) -> list[str]:
    """Calls of anything named sleep: whoever waits, waits for something."""
    return [
        f"{name}:{node.lineno} sleeps"
        for name, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and _called(node) == "sleep"
    ]


def undocumented(sources: Mapping[str, str]) -> list[str]:
    """Modules that do not say what they are; and those with code that do not say where it runs."""
    found = []
    for name, text in sources.items():
        tree = ast.parse(text)
        words = ast.get_docstring(tree) or ""
        if not words:
            found.append(f"{name}: no docstring")
        elif "Runs in:" not in words and any(isinstance(node, CODE) for node in tree.body):
            found.append(f"{name}: its docstring does not say `Runs in:`")
    return found


CODE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
RULES = (upward, cycles, impure, wrong_doors, tied_decorators, late, sleeps, undocumented)


# -- how they are read ----------------------------------------------------------------------


def room(module: str) -> str:
    """'muleteer.ipc.loop' -> 'ipc'; the package itself is ''."""
    return module.removeprefix(HOUSE).removeprefix(".").partition(".")[0]


def _floor(module: str) -> int | None:
    """The floor; -1 for the package itself and for modules beside the house."""
    if module == HOUSE or not _is_ours(module):
        return -1
    return FLOORS.get(room(module))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == HOUSE


def _is_in(module: str, rooms: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{HOUSE}.{name}.") for name in rooms)


def _imports_of(name: str, sources: Mapping[str, str]) -> Iterator[Import]:
    is_package = any(other.startswith(f"{name}.") for other in sources)
    tree = ast.parse(sources[name])
    late_nodes = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    typing_nodes = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in _targets(node, name, is_package, sources):
                yield Import(name, target, node.lineno, node in late_nodes, node in typing_nodes)


def _targets(
    node: ast.Import | ast.ImportFrom, module: str, is_package: bool, sources: Mapping[str, str]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif node.module != "__future__":
        base = _base(node, module, is_package)
        names = [f"{base}.{alias.name}" for alias in node.names]
        yield from {full if full in sources else base for full in names}


def _base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The module that `from … import` names, relative ones made absolute."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _rings(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Each ring once, found by walking down from every module."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name) :], name]
        elif name not in done:
            for target in sorted(graph[name]):
                yield from walk(target, [*path, name])
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, [])

"""contrib/django/boot.py: when Django is set up, what is said when not, and its connections."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from muleteer.contrib.django import boot
from muleteer.errors import StartError

HANDLER = "django.core.handlers.wsgi:WSGIHandler()"


class FakeDjango(ModuleType):
    """Django as far as the boot looks at it; it writes down what it is asked for."""

    def __init__(self) -> None:
        super().__init__("django")
        self.__spec__ = ModuleSpec("django", None)
        self.asked: list[str] = []
        self.setup: Callable[[], None] = lambda: self.asked.append("setup")
        self.db = ModuleType("django.db")
        for name in ("reset_queries", "close_old_connections"):
            setattr(self.db, name, self._asks(name))
        self.db.connections = SimpleNamespace(close_all=self._asks("close_all"))  # type: ignore[attr-defined]

    def _asks(self, name: str) -> Callable[[], None]:
        return lambda: self.asked.append(name)


@pytest.fixture
def django(monkeypatch: pytest.MonkeyPatch) -> FakeDjango:
    """A Django in memory, with the settings module of a site called `site`."""
    fake = FakeDjango()
    monkeypatch.setitem(sys.modules, "django", fake)
    monkeypatch.setitem(sys.modules, "django.db", fake.db)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_one.settings")
    return fake


def options(module: str | None = None, import_: tuple[str, ...] = ()) -> Any:
    """The options that `prepare` reads."""
    return SimpleNamespace(
        module=module,
        import_=import_,
        shared_import=(),
        spooler_import=(),
        where=lambda name: f"site.ini:7: {name} = {module!r}",
    )


@pytest.mark.parametrize(
    ("given", "is_set_up"),
    [
        (options(HANDLER), True),
        (options("site.wsgi", ("tasks",)), True),
        (options(None, ("tasks",)), True),
        (options("site.wsgi"), False),  # Django's own wsgi.py does it
        (options(), False),
    ],
)
def test_django_is_set_up_where_nobody_else_does(
    django: FakeDjango, given: Any, is_set_up: bool
) -> None:
    """For its own handler, and before modules that are imported ahead of the application."""
    boot.prepare(given)
    assert django.asked == (["setup"] if is_set_up else [])


def test_django_s_handler_without_settings_says_what_to_add(
    django: FakeDjango, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line for the ini."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    with pytest.raises(StartError, match=r"env = DJANGO_SETTINGS_MODULE=PROJECT\.settings"):
        boot.prepare(options(HANDLER))


def without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a package not be installed."""
    find = importlib.util.find_spec
    missing = lambda asked, *more: None if asked == name else find(asked, *more)  # noqa: E731
    monkeypatch.setattr(boot.importlib.util, "find_spec", missing)


def test_a_django_that_is_not_installed_is_named(
    django: FakeDjango, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it; an application of another kind is left alone."""
    without("django", monkeypatch)
    with pytest.raises(StartError, match=r"Django is not installed.*pip install django"):
        boot.prepare(options(HANDLER))
    boot.prepare(options("app", ("tasks",)))
    assert django.asked == []


@pytest.mark.parametrize("missing", ["site_one", "site_one.settings"])
def test_a_settings_module_that_is_not_there_is_named(django: FakeDjango, missing: str) -> None:
    """With where it was looked for, and the option that helps."""

    def setup() -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    django.setup = setup
    with pytest.raises(StartError, match=r"=site_one\.settings: there is no such.*`pythonpath`"):
        boot.prepare(options(HANDLER))


@pytest.mark.parametrize("missing", ["psycopg", "site_two", "settings"])
def test_what_the_settings_miss_is_an_error_of_theirs(django: FakeDjango, missing: str) -> None:
    """A module that the settings import is missing: the traceback is the application's."""

    def setup() -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    django.setup = setup
    with pytest.raises(ModuleNotFoundError, match=missing):
        boot.prepare(options(HANDLER))


def test_a_task_is_treated_like_a_request(django: FakeDjango) -> None:
    """Old connections are closed before it and after it, however it ends."""
    with boot.around_task():
        django.asked.append("task")
    assert django.asked == [
        *("reset_queries", "close_old_connections", "task", "close_old_connections")
    ]
    django.asked.clear()
    with pytest.raises(OSError), boot.around_task():
        raise OSError
    assert django.asked[-1] == "close_old_connections"


def test_connections_of_the_import_do_not_reach_the_children(django: FakeDjango) -> None:
    """Two processes on one connection break the protocol of the database."""
    boot.close_before_fork()
    assert django.asked == ["close_all"]


def test_an_application_without_a_database_pays_nothing(
    django: FakeDjango, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of Django is imported for it."""
    monkeypatch.delitem(sys.modules, "django.db")
    boot.close_before_fork()
    with boot.around_task():
        pass
    assert django.asked == []
    assert "django.db" not in sys.modules

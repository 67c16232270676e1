"""Functions whose calls are tasks: spool, spoolforever, spoolraw, and the hook that runs them.

Not here: where tasks lie and when they run; that is the server's.
Runs in: enqueues anywhere in the server; runs tasks in a spooler.

Rules
1. A task's file can be read by uWSGI's own decorators, and theirs by these: `ud_spool_func` is the
   plain name, `ud_spool_ret` the answer, `args` and `kwargs` are pickles. `ud_spool_name` is ours.
2. A pickle is opened only for a function that asked for it with pass_arguments=True.
3. What a task's failure deserves is told by attributes of its exception: `spool_retries` (at most
   so many), `spool_after` (the wait), `spool_answer` (uWSGI's word for it).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property, update_wrapper
from inspect import signature
from typing import Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, Unpack, overload

from muleteer.decorators.names import Names
from muleteer.decorators.running import runnable
from muleteer.decorators.server import full_name, is_ours, log, on_function, uwsgi
from muleteer.decorators.unique import check_fields, key_of
from muleteer.decorators.values import (
    Storable,
    as_text,
    refuse_truncation,
    stored,
    stored_key,
)
from muleteer.decorators.wishes import Wishes, checked

__all__ = [
    "BrokenTask",
    "Spooled",
    "SpooledCall",
    "UnknownTask",
    "manage_spool_request",
    "policy_of",
    "spool",
    "spooler_functions",
    "spoolforever",
    "spoolraw",
]

P = ParamSpec("P")
R = TypeVar("R")
Raw = TypeVar("Raw", int, Coroutine[Any, Any, int])

spooler_functions: dict[str, Callable[..., Any]] = {}
"""The spooled functions by name; of two with one name, the later."""

_FULL_NAME = "ud_spool_name"
"""Our own var: module and qualified name, since `ud_spool_func` is a plain name only."""

_FULL_NAME_KEY = _FULL_NAME.encode()

_UNIQUE_KEY = b"muleteer_unique"
"""The server's var: of two tasks with one key that wait, the second is the first."""

_SPECIAL = ("spooler", "priority", "at", "body")
_NO_ARGUMENTS = ("spooler", "priority", "at")
"""What is said about a task, not to its function; `body` is said to both."""


class UnknownTask(LookupError):
    """No function here is meant: perhaps its code is only just being deployed."""

    spool_retries = 3
    """After so many more tries the task is dead."""


class BrokenTask(ValueError):
    """The task can never run, however often it is tried: it is dead at once."""

    spool_retries = 0


class Word(int):
    """What becomes of a task, as uWSGI takes it; muleteer also looks at what the task returned."""

    spool_result: Any

    def __new__(cls, word: int, result: Any) -> Word:
        made = super().__new__(cls, word)
        made.spool_result = result
        return made


class Spooled(Generic[P, R]):
    """A function whose calls are tasks; it gets what was enqueued as one dict.

    Under a server, calling it enqueues, as uWSGI's own decorator has it, and so does `.spool(…)`;
    `.f(…)` runs it here and now. Without a server calling it runs it.
    A coroutine function is run to its end in the spooler; `.f` is the coroutine function itself.
    """

    __name__: str
    __module__: str
    __qualname__: str

    def __init__(
        self, function: Callable[P, R], returns: str, wishes: Mapping[str, Any] = {}
    ) -> None:
        update_wrapper(self, function)
        self.f = function
        self.wishes = self._heard(wishes)
        self._run_f: Callable[..., Any] = runnable(function, "spool")
        self._returns = returns
        spooler_functions[function.__name__] = function
        _spooled_by_name.add(function, self)
        try:
            function.spool = self.spool  # type: ignore[attr-defined]
        except AttributeError:
            pass  # a built-in or a bound method has no room for attributes

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Enqueue (under a server) and return the task's path, or run (without one)."""
        if uwsgi is None:
            return self._run_f(*args, **kwargs)
        return self._enqueue(args, kwargs)

    def spool(self, message: Mapping[Any, Any] | None = None, /, **more: Storable) -> bytes:
        """Enqueue a task, a dict, keywords or both, and return its path.

        `at` (Unix seconds, a datetime, a timedelta), `priority`, `spooler` and `body` are the
        spooler's. ValueError names what cannot be stored, and then nothing is.
        """
        return self._enqueue(() if message is None else (message,), more)

    def run(self, task: dict[str, Any]) -> int:
        """Run one task in the spooler; returns what the spooler is to do with it."""
        returned = self._call(task)
        if "ud_spool_ret" in task:
            word = int(task["ud_spool_ret"])
            return Word(word, returned) if "keep_result" in self.wishes else word
        if not isinstance(returned, int):
            raise TypeError(
                f"{self.__name__} returned {returned!r}; a @spoolraw function returns"
                " uwsgi.SPOOL_OK, uwsgi.SPOOL_RETRY or uwsgi.SPOOL_IGNORE"
            )
        return returned

    def _enqueue(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        if not hasattr(uwsgi, "spool"):
            self._refuse_without_spooler()
        message = self._message(args, kwargs)
        task = {stored_key(key): stored(key, value) for key, value in message.items()}
        if "unique" in self.wishes:
            self._make_unique(task, args, kwargs)
        task.update(self._own_vars)
        refuse_truncation(task)
        return bytes(uwsgi.spool(task))

    @cached_property
    def _own_vars(self) -> dict[bytes, bytes]:
        """What every task of this function says."""
        own = {b"ud_spool_func": self.__name__.encode(), _FULL_NAME_KEY: full_name(self).encode()}
        if self._returns:
            own[b"ud_spool_ret"] = str(getattr(uwsgi, self._returns)).encode()
        return own

    def _refuse_without_spooler(self) -> NoReturn:
        if uwsgi is None:
            raise RuntimeError(
                f"{self.__name__}.spool(): no server runs this code, so there is no spooler; start"
                f" one with `spooler = DIR`, or call {self.__name__}(…) to run it here and now"
            )
        raise RuntimeError(
            f"{self.__name__}.spool(): no spooler is configured; set `spooler = DIR`"
        )

    def _message(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Any, Any]:
        """Return a call as what is enqueued; what was passed is not changed."""
        if not args:
            return {**kwargs}
        if len(args) > 1 or not isinstance(args[0], Mapping):
            raise TypeError(
                f"{self.__name__}.spool() takes one dict and keywords;"
                " for other arguments decorate it with @spool(pass_arguments=True)"
            )
        return {**args[0], **kwargs}

    def _make_unique(
        self, task: dict[bytes, bytes], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Give the task the key of this call, if it is to have one."""
        arguments, call = self._called_with(task, args, kwargs)
        key = key_of(full_name(self), self.wishes["unique"], arguments, call)
        if key is not None:
            task[_UNIQUE_KEY] = key

    def _called_with(
        self, task: Mapping[bytes, bytes], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Callable[[Callable[..., Any]], Any]]:
        """The function's arguments by name, and what calls another function with them."""
        texts = {as_text(key): as_text(value) for key, value in task.items()}
        arguments = {key: texts[key] for key in texts if key not in _NO_ARGUMENTS}
        return arguments, lambda function: function(arguments)

    def _call(self, task: dict[str, Any]) -> Any:
        """Run the function on a task."""
        return self._run_f(self._readable(task))

    def _readable(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The task as people read it."""
        return {key: as_text(value) for key, value in task.items()}

    def _heard(self, wishes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The wishes as the server hears them: its `on_dead` gets the task as the server has it."""
        on_dead = wishes.get("on_dead")
        if on_dead is None:
            return wishes
        call = runnable(on_dead, "spool")

        def tell(task: Mapping[Any, Any], reason: str) -> None:
            decoded = {as_text(key): value for key, value in task.items()}
            decoded.pop(_FULL_NAME, None)
            call(self._readable(decoded), reason)

        return {**wishes, "on_dead": tell}


class SpooledCall(Spooled[P, R]):
    """A function whose calls are tasks; it gets the arguments it was called with."""

    @overload  # type: ignore[override]
    def spool(self, *args: P.args, **kwargs: P.kwargs) -> bytes: ...
    @overload
    def spool(self, *args: Any, at: Storable, **kwargs: Any) -> bytes: ...
    @overload
    def spool(self, *args: Any, priority: str | bytes | int, **kwargs: Any) -> bytes: ...
    @overload
    def spool(self, *args: Any, spooler: str | bytes, **kwargs: Any) -> bytes: ...
    @overload
    def spool(self, *args: Any, body: str | bytes, **kwargs: Any) -> bytes: ...
    def spool(self, *args: Any, **kwargs: Any) -> bytes:
        """Enqueue a call, its arguments pickled, and return its task's path.

        `at`, `priority`, `spooler` and `body` are the spooler's and do not reach the function.
        ValueError says what cannot be stored, and then nothing is.
        """
        return self._enqueue(args, kwargs)

    def _called_with(
        self, task: Mapping[bytes, bytes], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Callable[[Callable[..., Any]], Any]]:
        own = self._own(kwargs)
        bound = signature(self.f).bind(*args, **own)
        bound.apply_defaults()
        return bound.arguments, lambda function: function(*args, **own)

    def _own(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords that are the function's."""
        return {key: kwargs[key] for key in kwargs if key not in (*_SPECIAL, "message_dict")}

    def _message(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[Any, Any]:
        special = {key: kwargs[key] for key in _SPECIAL if key in kwargs}
        extra = kwargs.get("message_dict", {})
        own = self._pickled(self._own(kwargs))
        return {**extra, **special, "args": self._pickled(args), "kwargs": own}

    def _pickled(self, arguments: tuple[Any, ...] | dict[str, Any]) -> bytes:
        try:
            return pickle.dumps(arguments)
        except Exception as error:  # an object's own code decides what it raises
            raise ValueError(f"{self.__name__}.spool(): {error}; pass a name or an id") from error

    def _call(self, task: dict[str, Any]) -> Any:
        """Run the function; only one that asked for pickles has any opened."""
        if "args" not in task or "kwargs" not in task:
            raise BrokenTask(
                f"{self.__name__} has pass_arguments=True, and the task was enqueued without it"
            )
        args, kwargs = self._unpickled(task["args"]), self._unpickled(task["kwargs"])
        return self._run_f(*args, **kwargs)

    def _unpickled(self, pickled: bytes) -> Any:
        try:
            return pickle.loads(pickled)
        except (ImportError, AttributeError) as error:
            raise UnknownTask(
                f"{self.__name__}: an argument's class is not here: {error}"
            ) from error
        except Exception as error:  # a broken pickle raises anything
            raise BrokenTask(f"{self.__name__}: the arguments cannot be read: {error}") from error

    def _readable(self, task: Mapping[str, Any]) -> dict[str, Any]:
        readable = super()._readable(task)
        for key in ("args", "kwargs"):
            try:
                readable[key] = self._unpickled(task[key])
            except (KeyError, BrokenTask, UnknownTask):
                pass  # it stays as it lies in the task
        return readable


@overload
def spool(function: Callable[P, R], /) -> Spooled[P, R]: ...
@overload
def spool(
    *, pass_arguments: Literal[True], **wishes: Unpack[Wishes]
) -> Callable[[Callable[P, R]], SpooledCall[P, R]]: ...
@overload
def spool(
    *, pass_arguments: Literal[False] = False, **wishes: Unpack[Wishes]
) -> Callable[[Callable[P, R]], Spooled[P, R]]: ...
def spool(
    function: Any = None, /, *, pass_arguments: bool = False, **wishes: Unpack[Wishes]
) -> Any:
    """Let calls be tasks that are done once the function returned; an exception runs them again.

    The function gets one dict: what was enqueued, and `spooler_task_name`. Values are text, or
    bytes where they are no UTF-8. With `pass_arguments=True` it gets the arguments themselves.

    A task that fails is tried again `retries` times (25 unless `spooler-retries` or the keyword
    says otherwise), after 30 s (`spooler-frequency`, or `delay`), then twice as long each time,
    an hour at most (`max_delay`); then it lies in `dead/`, and `on_dead(task, reason)` is called.
    The function may raise `muleteer.Retry(after=seconds)` or `muleteer.Drop()`. A run that takes
    longer than `timeout` is killed and has failed. All keywords: `Wishes`.
    """
    return _spooled("spool", function, "SPOOL_OK", pass_arguments, wishes)


@overload
def spoolforever(function: Callable[P, R], /) -> Spooled[P, R]: ...
@overload
def spoolforever(
    *, pass_arguments: Literal[True], **wishes: Unpack[Wishes]
) -> Callable[[Callable[P, R]], SpooledCall[P, R]]: ...
@overload
def spoolforever(
    *, pass_arguments: Literal[False] = False, **wishes: Unpack[Wishes]
) -> Callable[[Callable[P, R]], Spooled[P, R]]: ...
def spoolforever(
    function: Any = None, /, *, pass_arguments: bool = False, **wishes: Unpack[Wishes]
) -> Any:
    """Let calls be tasks that are run again and again, at the spooler's frequency.

    A round that raises has failed: it is tried again as `@spool` says, and dead after the last of
    its `retries` in a row. A good round forgets the failures before it.
    """
    return _spooled("spoolforever", function, "SPOOL_RETRY", pass_arguments, wishes)


@overload
def spoolraw(function: Callable[P, Raw], /) -> Spooled[P, Raw]: ...
@overload
def spoolraw(
    *, pass_arguments: Literal[True], **wishes: Unpack[Wishes]
) -> Callable[[Callable[P, Raw]], SpooledCall[P, Raw]]: ...
@overload
def spoolraw(
    *, pass_arguments: Literal[False] = False, **wishes: Unpack[Wishes]
) -> Callable[[Callable[P, Raw]], Spooled[P, Raw]]: ...
def spoolraw(
    function: Any = None, /, *, pass_arguments: bool = False, **wishes: Unpack[Wishes]
) -> Any:
    """Let calls be tasks; the function's SPOOL_OK, SPOOL_RETRY or SPOOL_IGNORE ends each run.

    SPOOL_RETRY is its own word: it runs again at the spooler's frequency, for ever, unless
    `retries` or `give_up_after` is given; then it counts as a failure. An exception always does.
    """
    return _spooled("spoolraw", function, "", pass_arguments, wishes)


def _spooled(
    name: str, function: Any, returns: str, pass_arguments: bool, wishes: Mapping[str, Any]
) -> Any:
    kind = SpooledCall if pass_arguments else Spooled
    known = checked(name, wishes)
    if not returns and ("retries" in known or "give_up_after" in known):
        known["counts_words"] = True

    def make(inner: Any) -> Any:
        if pass_arguments and "unique" in known:
            check_fields(name, known["unique"], signature(inner).parameters)
        return kind(inner, returns, known)

    def decorate(function: Any) -> Any:
        return on_function(make, function, name)

    return decorate if function is None else decorate(function)


def manage_spool_request(task: Mapping[Any, Any]) -> Any:
    """Run one task: the hook the server calls in a spooler."""
    try:
        return _run(task)
    except Exception as error:
        answer = getattr(error, "spool_answer", None)
        if answer is None or is_ours():
            raise
        log.warning("%s: %s", type(error).__name__, error)
        return getattr(uwsgi, answer)


def policy_of(task: Mapping[Any, Any]) -> Mapping[str, Any]:
    """Return what the task's function asks for (`Wishes`); muleteer's spooler wants to know."""
    qualified, name = task.get(_FULL_NAME_KEY, b""), task.get(b"ud_spool_func", b"")
    try:
        return _spooled_by_name.find(as_text(qualified), as_text(name)).wishes
    except LookupError:
        return {}


manage_spool_request.policy_of = policy_of  # type: ignore[attr-defined]

_spooled_by_name: Names[Spooled[..., Any]] = Names("spooled", "task")


def _run(task: Mapping[Any, Any]) -> Any:
    decoded = {as_text(key): value for key, value in task.items()}
    qualified = as_text(decoded.pop(_FULL_NAME, b""))
    if "ud_spool_func" not in decoded:
        return _pass_on(task)
    try:
        spooled = _spooled_by_name.find(qualified, as_text(decoded["ud_spool_func"]))
    except LookupError as error:
        raise UnknownTask(*error.args) from None
    return spooled.run(decoded)


def _pass_on(task: Mapping[Any, Any]) -> Any:
    """A task of plain `uwsgi.spool`: for the hook the application had set before us, if it did."""
    if _spooler_before is None:
        raise UnknownTask(
            "the task names no function (ud_spool_func): it was made by uwsgi.spool() itself;"
            " assign your own function to uwsgi.spooler to run such tasks"
        )
    return _spooler_before(task)


_spooler_before: Callable[[Mapping[Any, Any]], Any] | None = None

if uwsgi is not None:
    _spooler_before = getattr(uwsgi, "spooler", None)
    uwsgi.spooler = manage_spool_request

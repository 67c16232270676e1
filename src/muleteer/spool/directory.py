"""The default store: one file per task, in uWSGI's format, names and locks.

Not here: the bytes of a file (wire/spoolfile.py), which files there are (survey.py), and what
becomes of a task (roles/spooler.py).
Runs in: anywhere that enqueues; a spooler.

Rules
1. The file is the truth. A task exists from the rename that gives its file a name to the unlink
   at its end; whoever dies, there is no task or a whole one. What we remember saves work only.
2. Whoever holds the write lock of a file that still has its name owns the task. A task that is
   changed gets a new file under the old name, so that one who waited with the old one open sees
   that it has no name any more (st_nlink 0).
3. The modification time is when the task is due, uWSGI's way of `at`.
4. The owner's execute bit says "a run has begun"; found by a claimer it means that the process of
   that run died. Read-only says "among the dead" to one who has had it open since before.
5. The group's execute bit says "ended well, but could not be removed": it is removed as soon as
   that is possible, and not run again. (Where not even the bit can be set, we remember it.)
6. Trouble with one file costs that file's task only; trouble with all of them is StoreUnavailable.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from muleteer import journal
from muleteer.errors import Malformed, StoreUnavailable, Truncated
from muleteer.spool import graves, names, notes
from muleteer.spool.filelock import is_locked, try_lock, unlock
from muleteer.spool.files import (
    DRAFTS,
    is_at,
    make_folder,
    read_whole,
    sync_folder,
    unavailable,
    write_whole,
)
from muleteer.spool.marks import BURIED, ENDED, RUN_BEGUN
from muleteer.spool.results import keep
from muleteer.spool.store import LATEST, UNIQUE, Outcome, Result, Task, with_specials
from muleteer.spool.survey import Survey
from muleteer.spool.sweeping import Sweeper
from muleteer.spool.unique import put_unique, release
from muleteer.wire.spoolfile import encode_task

__all__ = ["DirectoryStore"]

_EVERYONES: Final = (
    *(errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE),
    *(errno.ENOLCK, errno.ENOMEM),
)
"""Trouble that every file of the directory would have, too."""

_NO_FILE: Final = (errno.ELOOP, errno.EISDIR, errno.ENXIO)
"""What opening a symbolic link, a directory or a socket gives; uWSGI passes those over, too."""

_FIRST_PATIENCE_S: Final = 0.01
_LAST_PATIENCE_S: Final = 5.0
_MOST_REFUSED: Final = 100
_HALF_WRITTEN_S: Final = 5.0


class DirectoryStore:
    """The tasks in one spool directory; see spool/store.py for what each method promises.

    It may be made before a fork and used for `put` on both sides. What claims belongs to the
    process that claimed first with it.
    """

    def __init__(self, path: bytes, *, ordered: bool = False, sync: bool = False) -> None:
        # the directory
        self.path = os.path.abspath(path)
        self._drafts = self.path + b"/" + DRAFTS
        self._sync = sync
        self._synced = {self.path}
        # this consumer; nothing is opened before the first claim
        self._survey = Survey(self.path, ordered=ordered)
        self._patience: dict[bytes, float] = {}
        self._sweeper = Sweeper(self.path)
        # the tasks it has claimed
        self._held: dict[bytes, int] = {}
        # the files whose lock another has. They stay open until the next look at them: to close
        # one that is still there would tell all who watch the directory that it was written to,
        # and wake them; when its owner has ended it, nobody hears of the close
        self._refused: dict[bytes, int] = {}
        self._ended: set[bytes] = set()

    # -- enqueue: any process, any thread ------------------------------------------------

    def put(
        self,
        task_vars: Mapping[bytes, bytes],
        body: bytes = b"",
        *,
        at: float | None = None,
        priority: bytes | None = None,
    ) -> bytes:
        """Write the task's file: four system calls, five with `at`."""
        task_vars, at, priority = with_specials(task_vars, at, priority)
        data = encode_task(task_vars, body)
        folder = self.path if priority is None else self.path + b"/" + priority
        path = folder + b"/" + names.new_name()
        try:
            if UNIQUE in task_vars:
                write = partial(self._write_new, path, data, at)
                return put_unique(self.path, task_vars[UNIQUE], path, write)
            self._write_new(path, data, at)
        except OSError as error:
            raise self._unavailable("write a task", error) from error
        return path

    def _write_new(self, path: bytes, data: bytes, at: float | None) -> None:
        folder = path.rpartition(b"/")[0]
        try:
            self._write(path, data, at)
        except FileNotFoundError:
            if folder == self.path:
                raise
            make_folder(folder)
            self._synced.discard(folder)
            self._write(path, data, at)
        if self._sync:
            self._sync_new(folder, path)

    def _write(self, path: bytes, data: bytes, at: float | None) -> None:
        """Give it a whole file; one of no priority grows where nobody watches."""
        drafts = self._drafts if path.rpartition(b"/")[0] == self.path else None
        write_whole(path, data, at, sync=self._sync, drafts=drafts)

    def _sync_new(self, folder: bytes, path: bytes) -> None:
        """Have the name of a new task on the disk, and that of its directory; else no task."""
        try:
            sync_folder(folder)
            if folder not in self._synced:  # whoever made it may not have come to it
                sync_folder(self.path)
                self._synced.add(folder)
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            raise

    # -- claim: one process, one thread --------------------------------------------------

    def claim(self, now: float) -> Task | None:
        """Take the first task that is due: five system calls, two more to settle it OK."""
        task = self._claim_known(now) if self._survey.is_sure(now) else None
        while task is None and self._survey.hear():
            task = self._claim_known(now)
            if not self._survey.is_listing:
                break
            now = max(now, time.time())  # what has arrived since is due, too
        return task

    def claim_this(self, path: bytes) -> Task | None:
        """Take one task, due or not, as if its last run had not died; None: it is not to be had."""
        try:
            task = self._look(self._relative(path), LATEST)
        except FileNotFoundError:
            return None
        return None if task is None else replace(task, died=False)

    def settle(
        self,
        task: Task,
        outcome: Outcome,
        *,
        at: float | None = None,
        error: str = "",
        result: Result | None = None,
    ) -> None:
        """Unlink, rewrite or keep the file, then let go of its lock."""
        fd = self._held.pop(task.path, None)
        if fd is None:
            return
        name = self._relative(task.path)
        try:
            if outcome is Outcome.OK:
                self._keep_result(task, result)
                self._remove(fd, task.path, name)
                self._release(task)
            else:
                self._survey.index.add(name, at or 0.0)
                self._keep(fd, task, outcome, at, error)
        except FileNotFoundError:  # someone removed it while it ran: that is an end, too
            self._survey.index.forget(name)
        except OSError as trouble:
            raise self._unavailable(f"end task {task.name!r}", trouble) from trouble
        finally:
            os.close(fd)

    def bury(self, task: Task, reason: str) -> None:
        """Move the file to `dead/`; the reason is beside it, in `<name>.reason`."""
        fd = self._held.pop(task.path, None)
        if fd is None:
            return
        name = self._relative(task.path)
        self._survey.index.add(name, time.time() + _LAST_PATIENCE_S)
        try:
            graves.lay(self.path, name, fd, reason)
            self._release(task)
        except OSError as error:
            raise self._unavailable(f"move {os.fsdecode(name)} to dead/", error) from error
        finally:
            os.close(fd)
        self._survey.index.forget(name)

    def park(self, task: Task) -> None:
        """Leave the file as if nobody had looked; the index keeps the name aside."""
        fd = self._held.pop(task.path, None)
        if fd is None:
            return
        try:
            _give_back(fd)
        except OSError as trouble:
            raise self._unavailable(f"put task {task.name!r} back", trouble) from trouble
        finally:
            unlock(fd)
            os.close(fd)

    def unpark(self, path: bytes) -> None:
        """Have its file looked at by the next claim."""
        self._survey.index.add(self._relative(path))

    def sweep(self, now: float) -> float:
        """See Store: the results in `done/` and the keys in `unique/`."""
        try:
            return self._sweeper.sweep(now)
        except OSError as error:
            raise self._unavailable("remove what has had its time", error) from error

    def next_due(self) -> float | None:
        """See Store; before the first look at the directory the answer is "now"."""
        return self._survey.next_due()

    def fileno(self) -> int | None:
        """The inotify descriptor, where there is one."""
        return self._survey.fileno()

    def rescan(self) -> None:
        """Take in what inotify told; without it, list the directory if it has changed."""
        self._survey.check_place()
        self._survey.hear()

    def close(self) -> None:
        """Close the descriptors; the locks fall with them."""
        while self._held:
            _, fd = self._held.popitem()
            unlock(fd)
            os.close(fd)
        while self._refused:
            os.close(self._refused.popitem()[1])
        self._survey.close()

    # -- looking, from any process -------------------------------------------------------

    def jobs(self) -> list[bytes]:
        """See Store; lists the directory each time."""
        return [self.path + b"/" + name for name in self._survey.tasks()]

    def get_task(self, path: bytes) -> Task | None:
        """See Store; a relative path starts at the spool directory."""
        path = os.path.join(self.path, path)
        if (fd := self._held.get(path)) is not None:
            return _read_task(fd, path)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return None if is_locked(fd) else _read_task(fd, path)
        except (Malformed, OSError):
            return None
        finally:
            os.close(fd)

    # -- one look at one file ------------------------------------------------------------

    def _claim_known(self, now: float) -> Task | None:
        while (name := self._survey.index.take(now)) is not None:
            try:
                task = self._look(name, now)
            except FileNotFoundError:  # another claimer was faster
                self._forget(name)
                continue
            except OSError as error:
                if error.errno in _EVERYONES:
                    self._survey.index.add(name)
                    raise self._unavailable(f"claim {os.fsdecode(name)}", error) from error
                self._postpone(name, now, error)
                continue
            if task is not None:
                return task
        return None

    def _look(self, name: bytes, now: float) -> Task | None:
        """Open, lock and read one file; None, and the index knows when to look again."""
        path = self.path + b"/" + name
        try:
            fd = self._refused.pop(name, -1)
            if fd < 0:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            self._forget(name)
            return None
        task = None
        try:
            task = self._lock_and_read(fd, name, path, now)
        finally:
            if task is None and name not in self._refused:
                os.close(fd)
        if task is not None:
            self._held[path] = fd
        return task

    def _lock_and_read(self, fd: int, name: bytes, path: bytes, now: float) -> Task | None:
        if not try_lock(fd):
            self._postpone(name, now)
            if len(self._refused) < _MOST_REFUSED:
                self._refused[name] = fd
            return None
        status = os.fstat(fd)
        if status.st_nlink == 0:  # done, or rewritten, between our open and our lock
            self._survey.index.add(name)
        elif status.st_mode & 0o777 == BURIED and not is_at(path, status):
            self._forget(name)
        elif status.st_mode & ENDED or name in self._ended:
            os.unlink(path)
            self._ended.discard(name)
            self._forget(name)
        elif status.st_mtime > now:
            self._patience.pop(name, None)
            self._survey.index.add(name, status.st_mtime)
        else:
            return self._read_or_bury(fd, name, path, status, now)
        return None

    def _read_or_bury(
        self, fd: int, name: bytes, path: bytes, status: os.stat_result, now: float
    ) -> Task | None:
        """The task, its run marked as begun; None when the file is not, or not yet, a task.

        One whose run was begun by a process that is no more comes back as one that `died`.
        """
        try:
            task = _read_task(fd, path, status)
        except Malformed as error:
            if isinstance(error, Truncated) and now - status.st_mtime < _HALF_WRITTEN_S:
                self._postpone(name, now)  # uWSGI's writers open first and lock later
            else:
                self._bury_garbage(fd, name, str(error), now)
            return None
        died = bool(status.st_mode & RUN_BEGUN)
        if not died:
            _mark_run(fd, status)
        self._patience.pop(name, None)
        return replace(task, died=True) if died else task

    def _bury_garbage(self, fd: int, name: bytes, reason: str, now: float) -> None:
        """Lay what is no task among the dead; where that fails it costs no other task."""
        try:
            graves.lay(self.path, name, fd, reason)
        except OSError as trouble:
            self._postpone(name, now, trouble)
            return
        journal.task_buried(os.fsdecode(name), reason)
        self._forget(name)

    def _postpone(self, name: bytes, now: float, trouble: OSError | None = None) -> None:
        """Look again soon, then less and less often: its holder may die without a word."""
        if trouble is not None and name not in self._patience:
            journal.task_stuck(os.fsdecode(name), trouble.strerror or str(trouble))
        patience = self._patience.get(name, _FIRST_PATIENCE_S)
        self._patience[name] = min(patience * 2, _LAST_PATIENCE_S)
        self._survey.index.add(name, now + patience)

    def _forget(self, name: bytes) -> None:
        self._patience.pop(name, None)
        self._survey.index.forget(name)

    # -- the end of a claim --------------------------------------------------------------

    def _keep_result(self, task: Task, result: Result | None) -> None:
        """Write the result down before the task goes; a full disk loses the result, not the end."""
        if result is None:
            return
        try:
            keep(self.path, task.name, result)
        except OSError as error:
            journal.result_lost(task.label, error.strerror or str(error))

    def _remove(self, fd: int, path: bytes, name: bytes) -> None:
        """Unlink the file of a task that ended well, or mark it so that it does not run again."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            raise
        except OSError:
            self._survey.index.add(name, time.time() + _LAST_PATIENCE_S)
            self._ended.add(name)
            with suppress(OSError):
                os.fchmod(fd, stat.S_IRUSR | stat.S_IWUSR | ENDED)
            raise
        self._survey.index.forget(name)

    def _keep(self, fd: int, task: Task, outcome: Outcome, at: float | None, error: str) -> None:
        """Give the task the file that counts; without room for it, the old one waits till `at`."""
        attempts = task.attempts + 1 if outcome is Outcome.RETRY else 0
        try:
            if outcome is not Outcome.IGNORE and attempts != task.attempts:
                self._rewrite(task, at, attempts, error)
            else:
                _give_back(fd, at)
        except FileNotFoundError:
            raise
        except OSError:
            _give_back(fd, at)
            raise
        finally:
            unlock(fd)

    def _release(self, task: Task) -> None:
        if UNIQUE in task.notes:
            release(self.path, task.notes[UNIQUE], task.path)

    def _rewrite(self, task: Task, at: float | None, attempts: int, error: str) -> None:
        """Replace the task's file by one that counts these attempts."""
        os.stat(task.path)  # removed while it ran: it shall not come back
        data = notes.bytes_of(task, attempts, error)
        self._write(task.path, data, at)
        if self._sync:
            sync_folder(task.path.rpartition(b"/")[0])

    def _relative(self, path: bytes) -> bytes:
        return path[len(self.path) + 1 :]

    def _unavailable(self, doing: str, error: OSError) -> StoreUnavailable:
        return unavailable(self.path, doing, error)


def _read_task(fd: int, path: bytes, status: os.stat_result | None = None) -> Task:
    """The task in an open file; Malformed when there is none."""
    status = status or os.fstat(fd)
    return notes.task_in(path, read_whole(fd, status.st_size), status.st_mtime)


def _mark_run(fd: int, status: os.stat_result) -> None:
    try:
        os.fchmod(fd, stat.S_IMODE(status.st_mode) | RUN_BEGUN)
    except PermissionError:
        pass  # another user's file: it runs all the same, only a crash would go uncounted


def _give_back(fd: int, at: float | None = None) -> None:
    """Have the file as it was before the run, due `at`; None: whenever it was."""
    os.fchmod(fd, stat.S_IRUSR | stat.S_IWUSR)
    if at is not None:
        os.utime(fd, (at, at))

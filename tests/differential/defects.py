"""The defects of uWSGI 2.0.31 that are gone here; rows name them by these numbers.

A number that has no row fails a test (tests/unit/test_compatibility.py): whoever mends the next one
adds it here and writes the row. The numbers are those of the list that the work began with, so they
have gaps.

Runs in: the test process.
"""

from __future__ import annotations

__all__ = ["DEFECTS"]

DEFECTS = {
    1: "tasks enqueued while the spooler is busy wait for its next look",
    2: "a task with `at` waits for the look after its time",
    3: "a value of more than 64 kB is cut, and pickled arguments with it",
    4: "a task that fails or kills its process is run for ever",
    5: "what is no task is deleted, and a killed writer leaves half of one",
    6: "a task with a `priority` lies where nobody looks",
    7: "tasks run in no order that anybody chose",
    8: "a spooler is killed in the middle of its task at a stop or reload",
    9: "text and bytes are taken here and refused there, in the spooler, RPC, mules and farms",
    10: "an RPC function's text is lost, and every failure of a call is the same None",
    11: "a remote call drops empty arguments and cuts long ones",
    12: "a message to a mule whose queue is full is dropped",
    13: "a message of more than 64 kB is cut",
    14: "`mule_get_msg` takes its `signals` for the contrary, and a time-out for a message",
    15: "a message to a mule that is not there is no error",
    16: "a signal to a full queue is dropped without a word",
    17: "a target that reaches nobody is accepted",
    18: "a signal's number wraps round at 256",
    19: "under `lazy-apps` the decorators do not work",
    20: "a cron job runs at each start and reload in its minute",
    21: "there is room for 64 timers, jobs, monitors and RPC functions, and 256 decorated handlers",
    22: "a file monitor goes deaf, or never hears",
    23: "locks have no owner, do not survive one, and do not work in spoolers",
    24: "`@harakiri` stays armed when the function raises",
    25: "one `@postfork` function that raises stops the next, and decorators unbind their names",
    26: "`mule-harakiri` lets messages run for ever",
    28: "`uwsgi.stop()` reloads with `die-on-term`, and SIGTERM without",
    29: "workers that cannot live stop the master's clock",
    30: "a socket stays behind after a reload",
    31: "the stats count no daemon's respawns",
    32: "`workers()` gives the same dicts again, and changes them",
    33: "a task over the network has no body, and no more than 4096 bytes",
    34: "Erlang is gone, and `@erlang` an AttributeError",
    35: "an option that does not exist is taken without a word",
    36: "an application loaded by its path is imported again by its mule",
    37: "bytes in a task that are no text make it fail for ever",
    38: "a pickle is opened in every task that has one",
}
"""Number -> what uWSGI does."""

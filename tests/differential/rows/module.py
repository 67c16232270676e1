"""What `import uwsgi` gives in a worker: every name, its type and its manners.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Claim, Setup, rows_of
from tests.differential.looks import value

SETUP = Setup(
    name="module",
    ini="""
spooler = tasks
spooler-frequency = 1
locks = 2
my-name = me
pidfile = server.pid
""",
    files={"tasks/": ""},
)
BARE = Setup(name="bare")

fact = rows_of("The module: facts", SETUP)
function = rows_of("The module: functions", SETUP)
lock = rows_of("The module: locks", SETUP)
bare = rows_of("The module: names that need an option", BARE)
later = rows_of("The module: what is not there yet", SETUP)

NOT_YET = "not in this version; the AttributeError says so"
TAKES_BYTES = "bytes are taken wherever str is"

LATER = {
    "the cache": "cache_get cache_set cache_update cache_del cache_exists cache_inc cache_keys",
    "metrics": "metric_get metric_set metric_inc metric_dec metric_mul metric_div",
    "websockets": "websocket_handshake websocket_recv websocket_recv_nb websocket_send",
    "chunks of a body": "chunked_read chunked_read_nb",
    "async, greenlets": "async_sleep async_connect suspend green_schedule",
    "sockets of one's own": "connect is_connected send recv close wait_fd_read wait_fd_write",
    "the connection of a request": "connection_fd ready_fd disconnect cl add_var",
    "serving files": "sendfile offload",
    "the legion": "i_am_the_lord lord_scroll scrolls",
    "odds and ends": "alarm accepting set_warning_message extract magic_table env start_response",
    "import helpers": "SymbolsImporter SymbolsZipImporter ZipImporter",
}
"""Group -> the names that uWSGI has."""


def _not_yet(group: str, names: str) -> Claim:
    listed = names.split()
    return later(
        f"{group}: {', '.join(f'`{name}`' for name in listed)}",
        value(f"[hasattr(uwsgi, name) for name in {listed!r}]"),
        differs=NOT_YET,
        ours=[False] * len(listed),
        theirs=[True] * len(listed),
    )


FACTS = [
    fact("it is a module called `uwsgi`", value("[isinstance(uwsgi, type(os)), uwsgi.__name__]")),
    fact(
        "`opt` holds every key of the ini as it was written, str to bytes",
        value("""{k: v for k, v in uwsgi.opt.items()
                  if k not in ('auto-procname', 'virtualenv')}"""),  # the reference's own
    ),
    fact(
        "`version` is bytes, `version_info` a tuple, and both are uWSGI's",
        value("[uwsgi.version, uwsgi.version_info]"),
    ),
    fact(
        "`hostname` is the node's name, as bytes",
        value("uwsgi.hostname == os.uname().nodename.encode()"),
    ),
    fact(
        "`numproc`, `cores` and `has_threads`",
        value("[uwsgi.numproc, uwsgi.cores, uwsgi.has_threads]"),
    ),
    fact(
        "`buffer_size`",
        value("uwsgi.buffer_size"),
        differs="65535 unless set: today's cookies and tokens are that long",
        ours=65535,
        theirs=4096,
    ),
    fact(
        "`started_on` is a Unix time, an int",
        value("[type(uwsgi.started_on).__name__, 0 <= time.time() - uwsgi.started_on < 600]"),
    ),
    fact(
        "`loop`, `unbit`, `applications` and `is_a_reload` of a plain start",
        value("[uwsgi.loop, uwsgi.unbit, uwsgi.applications, uwsgi.is_a_reload]"),
    ),
    fact("`sockets` are descriptors", value("[type(fd).__name__ for fd in uwsgi.sockets]")),
    fact("`pidfile` is what the ini says", value("uwsgi.pidfile")),
    fact(
        "`spoolers` is a tuple of bytes, absolute",
        value("""[type(uwsgi.spoolers).__name__, [type(s).__name__ for s in uwsgi.spoolers],
                  [os.path.isabs(s) for s in uwsgi.spoolers],
                  [os.path.basename(s) for s in uwsgi.spoolers]]"""),
    ),
    fact(
        "`SPOOL_OK`, `SPOOL_RETRY`, `SPOOL_IGNORE`",
        value("[uwsgi.SPOOL_OK, uwsgi.SPOOL_RETRY, uwsgi.SPOOL_IGNORE]"),
    ),
    fact("a name that nobody has is an AttributeError", value("uwsgi.no_such_name")),
    fact("a name of one's own may be assigned", value("uwsgi.mine = 5; uwsgi.mine")),
]

FUNCTIONS = [
    function(
        "`worker_id()`, `mule_id()` in a worker", value("[uwsgi.worker_id(), uwsgi.mule_id()]")
    ),
    function(
        "`masterpid()` is an int, the master's pid",
        value("[type(uwsgi.masterpid()).__name__, uwsgi.masterpid() not in (0, 1, os.getpid())]"),
    ),
    function(
        "the master is the worker's parent",
        value("uwsgi.masterpid() == os.getppid()"),
        differs="a zygote stands between them: the master never runs the application's code",
        ours=False,
        theirs=True,
    ),
    function(
        "`workers()` is a tuple of a dict for each worker",
        value("[type(uwsgi.workers()).__name__, [type(w).__name__ for w in uwsgi.workers()]]"),
    ),
    function(
        "its keys and their types",
        value("{key: type(each).__name__ for key, each in sorted(uwsgi.workers()[0].items())}"),
    ),
    function(
        "the keys and types of its `apps`",
        value("""apps = uwsgi.workers()[0]['apps']
                 [type(apps).__name__,
                  {key: type(each).__name__ for key, each in sorted(apps[0].items())}]"""),
    ),
    function(
        "its id, pid, status and counts for the worker that asks",
        value("""own = uwsgi.workers()[0]
                 [own['id'], own['pid'] == os.getpid(), own['status'], own['exceptions'],
                  own['signals'], own['respawn_count']]"""),
    ),
    function(
        "its `requests` are `total_requests()` and, of one worker, `request_id()`",
        value("""[uwsgi.total_requests() - uwsgi.workers()[0]['requests'],
                  uwsgi.request_id() - uwsgi.workers()[0]['requests']]"""),
    ),
    function(
        "its `last_spawn` is a Unix time",
        value("0 <= time.time() - uwsgi.workers()[0]['last_spawn'] < 600"),
    ),
    function(
        "its `rss` and `vsz`",
        value("[uwsgi.workers()[0][key] > 0 for key in ('rss', 'vsz')]"),
        differs="always measured; there only with memory-report",
        ours=[True, True],
        theirs=[False, False],
    ),
    function(
        "two calls give two tuples of their own",
        value("uwsgi.workers()[0] is uwsgi.workers()[0]"),
        differs="there the dicts of the last call are overwritten",
        ours=False,
        theirs=True,
        defect=32,
    ),
    function(
        "`total_requests()` and `request_id()` count this one",
        value("""[type(n).__name__ for n in (uwsgi.total_requests(), uwsgi.request_id())]
                 + [uwsgi.request_id() > 0]"""),
    ),
    function("`mem()` is (rss, vsz) in bytes", value("[n > 1000000 for n in uwsgi.mem()]")),
    function("`log(text)` gives True", value("uwsgi.log('a word')")),
    function(
        "`log(bytes)`",
        value("uwsgi.log(b'a word')"),
        differs=TAKES_BYTES,
        ours=True,
        theirs="raises TypeError",
    ),
    function("`log()` without a word", value("uwsgi.log()")),
    function(
        "`set_logvar(name, value)`, and `get_logvar(name)` then",
        value("[uwsgi.set_logvar('who', 'me'), uwsgi.get_logvar('who')]"),
    ),
    function("`get_logvar` of one that nobody set", value("uwsgi.get_logvar('nobody')")),
    function("`log_this_request()`", value("uwsgi.log_this_request()")),
    function("`ready()`", value("uwsgi.ready()")),
    function(
        "`listen_queue()` of an idle server", value("[uwsgi.listen_queue(), uwsgi.listen_queue(1)]")
    ),
    function("`listen_queue` of a socket that is not there", value("uwsgi.listen_queue(9)")),
    function("`logsize()` of a log that is no file", value("uwsgi.logsize()")),
    function(
        "`micros()` is the time in microseconds",
        value("[type(uwsgi.micros()).__name__, abs(uwsgi.micros() / 1e6 - time.time()) < 5]"),
    ),
    function("`setprocname(name)`", value("uwsgi.setprocname('a name')")),
    function(
        "`set_user_harakiri(seconds)`, and 0 to call it off",
        value("[uwsgi.set_user_harakiri(30), uwsgi.set_user_harakiri(0)]"),
    ),
    function("`set_user_harakiri` of a word", value("uwsgi.set_user_harakiri('soon')")),
    function(
        "`set_user_harakiri` of less than nothing",
        value("uwsgi.set_user_harakiri(-1)"),
        differs="refused; there it is a deadline that has passed, or none",
        ours="raises ValueError",
        theirs=None,
    ),
    function("`parsefile` of a file that is not there", value("uwsgi.parsefile('/nowhere')")),
    function(
        "`register_rpc`, `rpc`, `call` and `rpc_list` are there",
        value("[hasattr(uwsgi, n) for n in ('register_rpc', 'rpc', 'call', 'rpc_list')]"),
    ),
    function(
        "`signal_wait` and `signal_received` are there",
        value("[hasattr(uwsgi, n) for n in ('signal_wait', 'signal_received')]"),
    ),
    function(
        "`mule_msg`, `mule_get_msg`, `farm_msg`, `farm_get_msg` and `in_farm` are there",
        value("""[hasattr(uwsgi, n) for n in
                 ('mule_msg', 'mule_get_msg', 'farm_msg', 'farm_get_msg', 'in_farm')]"""),
    ),
    function(
        "Erlang: `erlang_register_process`, `erlang_connect`, `erlang_send_message`,"
        " `erlang_recv_message`, `erlang_rpc` and `erlang_close` are there",
        value("""[hasattr(uwsgi, f'erlang_{name}') for name in (
                  'register_process', 'connect', 'send_message', 'recv_message', 'rpc',
                  'close')]"""),
        differs="it works; there Erlang is broken since 1.9.20",
        ours=[True] * 6,
        theirs=[False] * 6,
        defect=34,
    ),
    function("`i_am_the_spooler()` in a worker", value("uwsgi.i_am_the_spooler()")),
    function(
        "`spooler_pid()` and `spooler_pids()`",
        value("""pids = uwsgi.spooler_pids()
                 [type(pids).__name__, pids == [uwsgi.spooler_pid()], pids[0] > 1]"""),
    ),
    function("`set_spooler_frequency(seconds)`", value("uwsgi.set_spooler_frequency(1)")),
    function("`set_spooler_frequency` of a word", value("uwsgi.set_spooler_frequency('often')")),
]

LOCKS = [
    lock(
        "`lock`, `is_locked` and `unlock` of lock 0",
        value("[uwsgi.lock(), uwsgi.is_locked(), uwsgi.unlock(), uwsgi.is_locked()]"),
    ),
    lock(
        "`locks = 2` makes locks 1 and 2 besides it, each on its own",
        value("""[uwsgi.lock(2), uwsgi.is_locked(2), uwsgi.is_locked(1), uwsgi.is_locked(),
                  uwsgi.unlock(2), uwsgi.is_locked(2)]"""),
    ),
    lock("a free lock may be unlocked", value("uwsgi.unlock()")),
    lock(
        "a lock that is not there: `lock(3)`, `lock(-1)`, `is_locked(3)`, `unlock(-1)`",
        value("""def tried(call, number):
                     try:
                         return call(number)
                     except ValueError:
                         return 'ValueError'
                 [tried(uwsgi.lock, 3), tried(uwsgi.lock, -1), tried(uwsgi.is_locked, 3),
                  tried(uwsgi.unlock, -1)]"""),
    ),
    lock("a lock's number is a number", value("uwsgi.lock('a')")),
    lock(
        "`lock(timeout=seconds)`",
        value("[uwsgi.lock(1, timeout=0), uwsgi.unlock(1)]"),
        differs="ours: there it can only be waited for, without end",
        ours=[True, None],
        theirs="raises TypeError",
    ),
]

BARE_ROWS = [
    bare(
        "without a spooler: the spooling functions",
        value("""[hasattr(uwsgi, name) for name in (
                  'spool', 'send_to_spooler', 'spoolers', 'spooler_jobs', 'spooler_get_task',
                  'spooler_pid', 'spooler_pids', 'set_spooler_frequency')]"""),
    ),
    bare(
        "without a spooler: the constants, `i_am_the_spooler` and `parsefile` are there",
        value("""[hasattr(uwsgi, name) for name in
                  ('SPOOL_OK', 'SPOOL_RETRY', 'SPOOL_IGNORE', 'i_am_the_spooler', 'parsefile')]"""),
    ),
    bare(
        "without `pidfile` and `mode` the names",
        value("[hasattr(uwsgi, 'pidfile'), hasattr(uwsgi, 'mode')]"),
    ),
    bare(
        "without `locks` there is lock 0",
        value("[uwsgi.lock(), uwsgi.is_locked(), uwsgi.unlock()]"),
    ),
    bare("and no other", value("uwsgi.lock(1)")),
    bare(
        "hooks that nobody set",
        value(
            """[hasattr(uwsgi, name) for name in
                ('spooler', 'post_fork_hook', 'mule_msg_hook', 'atexit', 'after_req_hook')]"""
        ),
    ),
]

CLAIMS = [
    *FACTS,
    *FUNCTIONS,
    *LOCKS,
    *BARE_ROWS,
    *[_not_yet(group, names) for group, names in LATER.items()],
]

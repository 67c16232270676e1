"""THE table: one field is one option, and everything that reads or explains options reads this.

Not the reading itself (option.py, sources.py), not uWSGI's other names (uwsgi_names.py).

Runs in: anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from muleteer.config.option import (
    Notice,
    Option,
    not_negative,
    one_of,
    option,
    positive,
    table_of,
    within,
)
from muleteer.config.programs import (
    CronCommand,
    Daemon,
    read_control_daemon,
    read_cron,
    read_cron2,
    read_daemon,
    read_daemon2,
    read_smart_daemon,
    read_smart_daemon2,
    read_touch_exec,
    read_unique_cron,
)
from muleteer.config.values import (
    read_address,
    read_allowed_packets,
    read_any,
    read_assignment,
    read_counts,
    read_deadline,
    read_farm,
    read_keepalive,
    read_mode,
    read_module,
    read_mount,
    read_node,
    read_owner,
    read_path_and_signal,
    read_pattern_and_seconds,
    read_retries,
    read_signal_timer,
)

__all__ = ["BY_NAME", "FIXED", "GROUPS", "TABLE", "Settings"]

OptView = dict[str, bytes | bool | list[bytes | bool]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server was told, read, checked and complete."""

    # -- sockets ---------------------------------------------------------------------------
    http_socket: tuple[str, ...] = option(
        (),
        "Address on which the workers answer HTTP/1.1.",
        uwsgi="differs: keep-alive, pipelining and chunked requests work here",
        read=read_address,
        example=":8000",
    )
    http: tuple[str, ...] = option(
        (),
        "The same as http-socket.",
        aliases=("httprouter",),
        uwsgi="differs: the workers answer themselves, there is no router process to go through",
        read=read_address,
        example=":8000",
    )
    http11_socket: tuple[str, ...] = option(
        (),
        "The same as http-socket.",
        uwsgi="same",
        read=read_address,
        example=":8000",
    )
    socket: tuple[str, ...] = option(
        (),
        "Address on which the workers speak the uwsgi protocol, for nginx.",
        aliases=("uwsgi-socket",),
        short="s",
        read=read_address,
        example="127.0.0.1:3031",
    )
    allow_packets: tuple[str, ...] = option(
        (),
        "Packets that are taken on a socket beside requests: rpc, signal, spool, all or none.",
        uwsgi="ours: without it they are taken where no other machine can send them, on unix"
        " sockets and loopback; uWSGI takes them from everybody",
        read=read_allowed_packets,
        example="10.0.0.1:3031 rpc signal",
    )
    listen: int = option(
        1024,
        "How many connections the kernel may hold before a worker takes them.",
        short="l",
        uwsgi="differs: 100 there, and more than the kernel allows ends the start;"
        " here the kernel's limit simply holds",
        check=positive,
    )
    no_defer_accept: bool = option(
        False,
        "Take a TCP connection before its client has said something.",
        uwsgi="differs: a silent client waits in the kernel for socket-timeout there, for a second"
        " here",
    )
    chmod_socket: int | None = option(
        None,
        "File mode of unix sockets, in octal; 666 without a value.",
        aliases=("chmod",),
        short="C",
        read=read_mode,
        bare="666",
        example="660",
    )
    chown_socket: str | None = option(
        None,
        "Owner of unix sockets, as user:group.",
        read=read_owner,
        example="www-data:www-data",
    )
    vacuum: bool = option(
        True,
        "Remove the unix sockets and the pidfile at the end.",
        uwsgi="differs: on, so that nothing is left behind",
    )
    buffer_size: int = option(
        65535,
        "Bytes that the head of a request may have.",
        short="b",
        uwsgi="differs: 4096 there, too little for today's cookies",
        check=within(256, 16 << 20),
    )
    limit_post: int = option(
        0,
        "Bytes that the body of a request may have; 0 for no limit.",
        check=not_negative,
        example="10000000",
    )
    post_buffering: int = option(
        0,
        "Bytes of a body that are kept in memory; longer ones go through a file.",
        uwsgi="differs: a body is always read before the app is called, so that a slow client"
        " holds no worker; the option only moves the limit",
        check=not_negative,
        example="1000000",
    )
    socket_timeout: float = option(
        4.0,
        "Seconds a client may leave us waiting in the middle of a packet or an answer.",
        short="z",
        check=positive,
    )
    http_timeout: float = option(
        60.0,
        "Seconds an HTTP client may take to send a request.",
        uwsgi="differs: there it is the patience of the router with its worker",
        check=positive,
    )
    http_keepalive: float = option(
        60.0,
        "Seconds an idle HTTP connection is kept; 0 or false closes it after the answer.",
        uwsgi="differs: off there, and a switch only",
        read=read_keepalive,
        bare="true",
    )
    # -- processes -------------------------------------------------------------------------
    master: bool = option(
        True,
        "Run a master process; there always is one.",
        short="M",
        uwsgi="accepted: muleteer always has a master process",
    )
    processes: int = option(
        1,
        "Worker processes that serve requests.",
        aliases=("workers",),
        short="p",
        check=within(0, 4096),
        example="4",
    )
    threads: int = option(
        1,
        "Threads in each worker, each with its own loop.",
        check=within(1, 1024),
        example="4",
    )
    enable_threads: bool = option(
        True,
        "Let the app start threads; they always work.",
        short="T",
        uwsgi="accepted: threads always work, also those the app starts at import",
    )
    harakiri: float | None = option(
        None,
        "Seconds a request may take before its worker is killed; 0 for no limit.",
        short="t",
        read=read_deadline,
        example="30",
    )
    harakiri_graceful_timeout: float = option(
        0.0,
        "Seconds between an exception in what runs too long and the kill; 0: no exception.",
        uwsgi="differs: muleteer.DeadlinePassed is raised in the request, the task or the message;"
        " there its worker gets a Unix signal",
        check=not_negative,
        example="5",
    )
    max_requests: int = option(
        0,
        "Requests after which a worker is replaced; 0 for never.",
        short="R",
        check=not_negative,
        example="10000",
    )
    max_requests_delta: int = option(
        0,
        "Requests more for each next worker, so that they are not replaced all at once.",
        check=not_negative,
        example="100",
    )
    min_worker_lifetime: float = option(
        10.0,
        "Seconds before which max-requests and reload-on-rss replace no worker.",
        check=not_negative,
    )
    max_worker_lifetime: float = option(
        0.0,
        "Seconds after which a worker is replaced, one at a time; 0 for never.",
        check=not_negative,
        example="3600",
    )
    max_worker_lifetime_delta: float = option(
        0.0,
        "Seconds more for each next worker.",
        check=not_negative,
        example="60",
    )
    reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a worker is replaced after its request.",
        check=not_negative,
        example="512",
    )
    reload_on_as: int = option(
        0,
        "The same for its address space.",
        check=not_negative,
        example="4096",
    )
    evil_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a worker is killed in the middle of a request.",
        uwsgi="differs: an idle worker is asked to leave; there it is killed, too",
        check=not_negative,
        example="1024",
    )
    evil_reload_on_as: int = option(
        0,
        "The same for its address space.",
        uwsgi="differs: an idle worker is asked to leave; there it is killed, too",
        check=not_negative,
        example="8192",
    )
    mem_collector_freq: float = option(
        3.0,
        "Seconds between two looks at the memory for the evil options.",
        check=positive,
    )
    cheaper: int = option(
        0,
        "Workers that are always there; more come when all are busy. 0: all of `processes` are.",
        check=not_negative,
        example="2",
    )
    cheaper_initial: int = option(
        0,
        "Workers at the start; 0: as many as `cheaper`.",
        check=not_negative,
        example="4",
    )
    cheaper_step: int = option(
        1,
        "Workers that come at a time.",
        check=positive,
    )
    cheaper_overload: int = option(
        3,
        "Seconds all workers must be busy until more come, or have time to spare until one goes.",
        uwsgi="differs: at once when clients wait on a TCP socket, too",
        check=positive,
    )
    cheaper_algo: str = option(
        "busy",
        "How it is told that more workers are needed.",
        uwsgi="accepted: by the time the workers were busy, in requests or on the processor",
        example="spare",
    )
    cheap: bool = option(
        False,
        "Start no worker before the first client comes.",
    )
    idle: float = option(
        0.0,
        "Seconds without a request after which all workers leave, until a client comes; 0: never.",
        check=not_negative,
        example="600",
    )
    die_on_idle: bool = option(
        False,
        "Stop the server after `idle` seconds, for one that is started by its socket.",
    )
    worker_reload_mercy: float = option(
        60.0,
        "Seconds a worker has to finish at a stop or reload before it is killed.",
        check=positive,
    )
    mule_reload_mercy: float = option(
        60.0,
        "The same for a mule.",
        check=positive,
    )
    spooler_mercy: float = option(
        60.0,
        "Seconds a spooler has to finish its task at a stop or reload;"
        " then the task is interrupted, and runs again.",
        uwsgi="ours: uWSGI kills a spooler in the middle of its task",
        check=positive,
    )
    mule_harakiri: float | None = option(
        None,
        "Seconds a mule's message or signal may take; 0 for no limit.",
        uwsgi="differs: there it covers signals only, messages are never ended",
        read=read_deadline,
        example="30",
    )
    lazy_apps: bool = option(
        False,
        "Load the app in each worker instead of once before the fork.",
        uwsgi="not yet: the app is loaded once and shared by the fork;"
        " open connections in a @postfork function",
    )
    uid: str | None = option(
        None,
        "User that the server runs as, once its sockets are bound.",
        uwsgi="differs: sockets are bound before, so that port 80 is none of its affair; without"
        " gid it has the user's own groups, there it keeps root's",
        example="www-data",
    )
    gid: str | None = option(
        None,
        "Group that the server runs as, once its sockets are bound.",
        uwsgi="differs: sockets are bound before",
        example="www-data",
    )
    add_gid: tuple[str, ...] = option(
        (),
        "Another group that the server is in.",
        example="docker",
    )
    umask: int | None = option(
        None,
        "Permissions that are taken from every new file, in octal.",
        read=read_mode,
        example="027",
    )
    limit_as: int = option(
        0,
        "Megabytes of address space that each process may have; 0 for no limit.",
        check=not_negative,
        example="2048",
    )
    limit_nproc: int = option(
        0,
        "Processes and threads that the server's user may have; 0 for no limit.",
        check=not_negative,
        example="200",
    )
    max_fd: int = option(
        0,
        "Files and connections that each process may have open; 0: as many as it was given.",
        check=not_negative,
        example="4096",
    )
    locks: int = option(
        0,
        "Locks for uwsgi.lock(n) beside number 0.",
        check=within(0, 65535),
    )
    die_on_term: bool = option(
        True,
        "SIGTERM stops the server; it always does.",
        uwsgi="accepted: SIGTERM always stops gracefully, as every supervisor expects; there it"
        " reloads unless this is set",
    )
    no_orphans: bool = option(
        True,
        "End the children with the master; they always end.",
        uwsgi="accepted: children always leave when their master is gone",
    )
    # -- application -----------------------------------------------------------------------
    module: str | None = option(
        None,
        "Module of the WSGI app, as module, module:callable or module:factory().",
        aliases=("wsgi",),
        short="w",
        read=read_module,
        example="app:application",
    )
    wsgi_file: str | None = option(
        None,
        "Python file of the WSGI app.",
        aliases=("file",),
        example="app.py",
    )
    callable: str = option(
        "application",
        "Name of the app in its module or file.",
        example="app",
    )
    need_app: bool = option(
        False,
        "End with exit code 22 also when no app is named, only modules to import.",
        uwsgi="differs: an app that is named and does not load ends the start in any case;"
        " there a server without an app goes on and answers 500",
    )
    mount: tuple[str, ...] = option(
        (),
        "Another application and the path it answers, as /path=module:callable or /path=file.py.",
        uwsgi="differs: all are in one interpreter, there each has its own",
        read=read_mount,
        example="/admin=admin:application",
    )
    manage_script_name: bool = option(
        False,
        "Find the mounted application by the path of the request, not by SCRIPT_NAME.",
    )
    no_default_app: bool = option(
        False,
        "Answer 500 where no mounted application fits; else the first one answers.",
    )
    import_: tuple[str, ...] = option(
        (),
        "Module or file to import beside the app, in every process.",
        aliases=("pyimport", "py-import", "python-import"),
        uwsgi="differs: loaded once before the fork, so mules and spoolers have it too",
        example="tasks",
    )
    shared_import: tuple[str, ...] = option(
        (),
        "Module or file to import before the app.",
        aliases=("shared-pyimport", "shared-py-import", "shared-python-import"),
        example="tasks",
    )
    spooler_import: tuple[str, ...] = option(
        (),
        "Module or file for the spoolers; imported everywhere, before the fork.",
        aliases=("spooler-pyimport", "spooler-py-import", "spooler-python-import"),
        uwsgi="differs: loaded once before the fork, as `import`",
        example="tasks",
    )
    pythonpath: tuple[str, ...] = option(
        (),
        "Directory to put in front of sys.path.",
        aliases=("python-path", "pp"),
        example="/srv/app",
    )
    virtualenv: str | None = option(
        None,
        "Virtual environment whose packages the app uses.",
        aliases=("home", "venv", "pyhome"),
        short="H",
        example="/srv/venv",
    )
    chdir: str | None = option(
        None,
        "Directory to change to before the app is loaded.",
        path=True,
        example="/srv/app",
    )
    chdir2: str | None = option(
        None,
        "Directory to change to after the app is loaded.",
        example="/srv/app",
    )
    env: tuple[str, ...] = option(
        (),
        "Environment variable for the app, as NAME=VALUE.",
        read=read_assignment,
        example="DJANGO_SETTINGS_MODULE=site.settings",
    )
    unenv: tuple[str, ...] = option(
        (),
        "Environment variable to take away from the app.",
        example="NAME",
    )
    single_interpreter: bool = option(
        True,
        "Run the app in the main interpreter; it always does.",
        short="i",
        uwsgi="accepted: there are no sub-interpreters, which many packages do not survive",
    )
    # -- static files ----------------------------------------------------------------------
    static_map: tuple[str, ...] = option(
        (),
        "Path and the directory whose files answer it, as /path=directory.",
        uwsgi="differs: with an ETag, parts of a file where one asks for them; /static is no prefix"
        " of /staticky",
        read=read_mount,
        example="/static=/srv/app/static",
    )
    static_map2: tuple[str, ...] = option(
        (),
        "The same; the path goes on in the directory: /path=dir has dir/path/file.",
        uwsgi="differs: in the same as static-map",
        read=read_mount,
        example="/static=/srv/app",
    )
    check_static: tuple[str, ...] = option(
        (),
        "Directory that is looked into for every path before the application is asked.",
        uwsgi="differs: in the same as static-map",
        path=True,
        example="/srv/app/public",
    )
    static_index: tuple[str, ...] = option(
        (),
        "File that answers for its directory.",
        example="index.html",
    )
    static_safe: tuple[str, ...] = option(
        (),
        "Directory that links of served directories may lead to.",
        path=True,
        example="/srv/media",
    )
    static_skip_ext: tuple[str, ...] = option(
        (),
        "Ending of names that are never served as files.",
        example=".php",
    )
    static_expires: tuple[str, ...] = option(
        (),
        "Pattern of file names and the seconds for which they may be kept.",
        uwsgi="differs: Cache-Control is sent, too; patterns are Python's",
        read=read_pattern_and_seconds,
        example=".*\\.css 3600",
    )
    static_expires_uri: tuple[str, ...] = option(
        (),
        "The same by a pattern of the URI.",
        uwsgi="differs: in the same as static-expires",
        read=read_pattern_and_seconds,
        example="/static/.* 3600",
    )
    mimefile: str | None = option(
        None,
        "File of media types and their endings, beside the system's.",
        aliases=("mime-file",),
        example="/etc/mime.types",
    )
    honour_range: bool = option(
        True,
        "Send parts of files.",
        uwsgi="accepted: always, where a client asks for one part",
    )
    # -- spooler ---------------------------------------------------------------------------
    spooler: tuple[str, ...] = option(
        (),
        "Directory whose tasks our spoolers run.",
        short="Q",
        path=True,
        example="/srv/spool",
    )
    spooler_external: tuple[str, ...] = option(
        (),
        "Directory to put tasks into that another server runs.",
        path=True,
        example="/srv/spool",
    )
    spooler_processes: str = option(
        "1",
        "Spooler processes for each directory; or one number for each, in their order: `4 1`.",
        read=read_counts,
    )
    spooler_frequency: float = option(
        30.0,
        "Seconds after which a task that asked for a retry runs again;"
        " the first wait after a failure.",
        aliases=("spooler-freq",),
        check=positive,
    )
    spooler_retries: float = option(
        25,
        "Times a task that fails is tried again before it goes to dead/; `forever` for no end.",
        uwsgi="ours: there it is tried for ever",
        read=read_retries,
        example="5",
    )
    spooler_backoff: str = option(
        "exponential",
        "How the wait grows with each failure in a row: exponential, linear or fixed.",
        uwsgi="ours",
        check=one_of("exponential", "linear", "fixed"),
        example="linear",
    )
    spooler_max_delay: float = option(
        3600.0,
        "Seconds a failed task waits at most until it is tried again.",
        uwsgi="ours",
        check=positive,
    )
    spooler_sync: str = option(
        "none",
        "What an accepted task survives: `none`, a crash of the server; `data`, a power failure.",
        uwsgi="ours",
        check=one_of("none", "data"),
        example="data",
    )
    spooler_harakiri: float | None = option(
        None,
        "Seconds a task may take before its spooler is killed, which counts as a failure;"
        " 0 for no limit. A function's own `timeout` goes before it.",
        uwsgi="differs: there the task is run again at once, for ever",
        read=read_deadline,
        example="600",
    )
    spooler_chdir: str | None = option(
        None,
        "Directory to change to before each task.",
        example="/srv/app",
    )
    spooler_max_tasks: int = option(
        0,
        "Tasks after which a spooler is replaced; 0 for never.",
        check=not_negative,
        example="1000",
    )
    spooler_ordered: bool = option(
        False,
        "Run tasks in the order of their priority and their names.",
    )
    spooler_max_lifetime: float = option(
        0.0,
        "Seconds after which a spooler is replaced, between two tasks; 0 for never.",
        uwsgi="ours",
        check=not_negative,
        example="3600",
    )
    spooler_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a spooler is replaced after its task.",
        uwsgi="ours",
        check=not_negative,
        example="512",
    )
    spooler_evil_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a spooler is killed in the middle of a task.",
        uwsgi="ours",
        check=not_negative,
        example="1024",
    )
    spooler_cheap: bool = option(
        False,
        "Let spoolers that have nothing to do leave, until there is something.",
        uwsgi="ours: of uWSGI 2.1, which was never released",
    )
    spooler_idle: float = option(
        10.0,
        "Seconds without a task after which a spooler leaves, with spooler-cheap.",
        uwsgi="ours",
        check=positive,
    )
    spooler_signal_as_task: bool = option(
        False,
        "Count signals a spooler handles as tasks, for spooler-max-tasks.",
        uwsgi="ours: of uWSGI 2.1, which was never released",
    )
    spooler_quiet: bool = option(
        False,
        "Do not log each task.",
    )
    # -- mules -----------------------------------------------------------------------------
    mule: tuple[str, ...] = option(
        (),
        "A mule; with a value it runs that script (`.py`) or module:callable.",
        read=read_any,
        bare="",
        example="background.py",
    )
    mules: int = option(
        0,
        "That many mules that wait for messages and signals.",
        check=within(0, 1024),
    )
    farm: tuple[str, ...] = option(
        (),
        "Name of a group of mules and their numbers.",
        read=read_farm,
        example="video:1,2",
    )
    mule_max_messages: int = option(
        0,
        "Messages after which a mule is replaced; 0 for never.",
        uwsgi="ours",
        check=not_negative,
        example="1000",
    )
    mule_max_lifetime: float = option(
        0.0,
        "Seconds after which a mule is replaced, between two messages; 0 for never.",
        uwsgi="ours",
        check=not_negative,
        example="3600",
    )
    mule_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a mule is replaced after its message.",
        uwsgi="ours",
        check=not_negative,
        example="512",
    )
    mule_evil_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a mule is killed in the middle of a message.",
        uwsgi="ours",
        check=not_negative,
        example="1024",
    )
    # -- reloading -------------------------------------------------------------------------
    touch_reload: tuple[str, ...] = option(
        (),
        "Reload when the file changes.",
        uwsgi="differs: at once, and as every reload here: the old code serves until the new is"
        " loaded",
        example="/run/app.reload",
    )
    touch_chain_reload: tuple[str, ...] = option(
        (),
        "The same: every reload is a chain.",
        example="/run/app.reload",
    )
    fs_reload: tuple[str, ...] = option(
        (),
        "The same for a file or directory.",
        aliases=("fs-brutal-reload",),
        uwsgi="differs: nothing is brutal about it",
        example="/srv/app",
    )
    touch_workers_reload: tuple[str, ...] = option(
        (),
        "Replace the workers when the file changes, with the code that is loaded.",
        uwsgi="differs: one after the other",
        example="/run/app.workers",
    )
    touch_mules_reload: tuple[str, ...] = option(
        (),
        "The same for the mules.",
        uwsgi="differs: each finishes its message",
        example="/run/app.mules",
    )
    touch_spoolers_reload: tuple[str, ...] = option(
        (),
        "The same for the spoolers.",
        uwsgi="differs: each finishes its task; there it is killed after a second",
        example="/run/app.spoolers",
    )
    touch_exec: tuple[str, ...] = option(
        (),
        "File, and a command that runs when it changes.",
        read=read_touch_exec,
        shell=True,
        example="/run/app.mail /srv/app/mail",
    )
    py_autoreload: float = option(
        0.0,
        "For development: reload when a file of the code changes; 0 is off.",
        aliases=("py-auto-reload", "python-autoreload", "python-auto-reload"),
        uwsgi="differs: at once, whatever the number of seconds, for the code of mules and spoolers"
        " too; installed packages are not watched",
        check=not_negative,
        example="1",
    )
    py_auto_reload_ignore: tuple[str, ...] = option(
        (),
        "Module whose changes reload nothing.",
        aliases=(),
        example="settings_local",
    )
    # -- signals ---------------------------------------------------------------------------
    signal_timer: tuple[str, ...] = option(
        (),
        "Raise a signal every so many seconds.",
        aliases=("timer",),
        read=read_signal_timer,
        example="17 30",
    )
    signal_rbtimer: tuple[str, ...] = option(
        (),
        "The same as signal-timer.",
        aliases=("rbtimer",),
        read=read_signal_timer,
        example="17 30",
    )
    touch_signal: tuple[str, ...] = option(
        (),
        "Raise a signal when the file changes.",
        uwsgi="differs: at once, not within a second; and the file need not be there yet",
        read=read_path_and_signal,
        example="/tmp/bell 17",
    )
    fs_signal: tuple[str, ...] = option(
        (),
        "Raise a signal when the file or directory changes.",
        uwsgi="differs: it survives that the file is replaced, and it need not be there yet",
        read=read_path_and_signal,
        example="/srv/inbox 17",
    )
    cron_state: str | None = option(
        None,
        "File that keeps the last runs of cron jobs with catch_up."
        " Default: one in the first spool directory.",
        uwsgi="ours",
        example="/var/lib/app/cron-state",
        path=True,
    )
    # -- Erlang ----------------------------------------------------------------------------
    erlang: str | None = option(
        None,
        "Name of our Erlang node, name@host; no host: this machine's.",
        uwsgi="differs: it works; there it has been broken since 1.9.20",
        read=read_node,
        example="shop@127.0.0.1",
    )
    erlang_cookie: str | None = option(
        None,
        "Cookie of the Erlang nodes; else that of ~/.erlang.cookie.",
        example="A-LONG-RANDOM-TEXT",
    )
    erlang_bind: str = option(
        "127.0.0.1",
        "Address on which the Erlang node listens.",
        uwsgi="ours: loopback unless told otherwise, since all behind the handshake is clear text",
        example="10.0.0.1",
    )
    # -- watching --------------------------------------------------------------------------
    stats: str | None = option(
        None,
        "Address on which the server shows itself, as uWSGI's JSON, to whoever connects.",
        aliases=("stats-server",),
        uwsgi="differs: there is more in it (mules, queues, backlogs, the clock, generations),"
        " and a slow reader does not hold the master up",
        read=read_address,
        example="127.0.0.1:9191",
    )
    stats_http: bool = option(
        False,
        "Answer on the stats address in HTTP.",
        uwsgi="differs: the request is read before it is answered, as HTTP wants it",
    )
    stats_no_cores: bool = option(
        False,
        "Leave the threads of the workers out of the stats.",
    )
    stats_minified: bool = option(
        True,
        "Send the stats without blanks.",
        aliases=("stats-min",),
        uwsgi="accepted: they always are; `muleteer status --json` prints them for people",
    )
    stats_no_metrics: bool = option(
        True,
        "Leave the metrics out of the stats.",
        uwsgi="accepted: they are none of the stats; Prometheus reads them from `metrics`",
    )
    metrics: str | None = option(
        None,
        "Address on which Prometheus reads metrics.",
        uwsgi="ours",
        read=read_address,
        example="127.0.0.1:9100",
    )
    # -- programs beside the server --------------------------------------------------------
    attach_daemon: tuple[Daemon, ...] = option(
        (),
        "Command that runs beside the server, and is started again when it ends.",
        uwsgi="differs: one that ends at once is started again with growing pauses; a reload whose"
        " code does not load leaves it alone",
        read=read_daemon,
        shell=True,
        example="celery -A site worker",
    )
    attach_control_daemon: tuple[Daemon, ...] = option(
        (),
        "The same; when it ends, the server does.",
        read=read_control_daemon,
        shell=True,
        example="redis-server",
    )
    attach_daemon2: tuple[Daemon, ...] = option(
        (),
        "The same, with keys: cmd, pidfile, freq, daemonize, stopsignal, reloadsignal, chdir.",
        uwsgi="differs: uid, gid, exec, touch and the like are not known",
        read=read_daemon2,
        shell=True,
        example="cmd=celery -A site worker,stopsignal=15,reloadsignal=1",
    )
    smart_attach_daemon: tuple[Daemon, ...] = option(
        (),
        "Pidfile and command of a program that goes into the background and outlives the server.",
        read=read_smart_daemon,
        shell=True,
        example="/run/memcached.pid memcached -d -P /run/memcached.pid",
    )
    smart_attach_daemon2: tuple[Daemon, ...] = option(
        (),
        "The same for a program that stays in the foreground.",
        read=read_smart_daemon2,
        shell=True,
        example="/run/memcached.pid memcached -P /run/memcached.pid",
    )
    cron: tuple[CronCommand, ...] = option(
        (),
        "Minute, hour, day, month, weekday and a command line; -1 is any, -5 every fifth.",
        uwsgi="differs: a crontab's fields are understood, too; nothing runs at once because the"
        " start or a reload falls into its minute",
        read=read_cron,
        shell=True,
        example="0 3 -1 -1 -1 /srv/app/backup",
    )
    unique_cron: tuple[CronCommand, ...] = option(
        (),
        "The same; it is not started while it still runs.",
        uwsgi="differs: in the same as cron",
        read=read_unique_cron,
        shell=True,
        example="-5 -1 -1 -1 -1 /srv/app/import",
    )
    cron2: tuple[CronCommand, ...] = option(
        (),
        "The same by names: minute, hour, day, month, week, unique, harakiri.",
        uwsgi="differs: in the same as cron",
        read=read_cron2,
        shell=True,
        example="minute=-5,unique=1,harakiri=60 /srv/app/import",
    )
    cron_harakiri: float | None = option(
        None,
        "Seconds a cron command may take before it and all it started is killed; 0: no limit.",
        read=read_deadline,
        example="600",
    )
    reload_mercy: float = option(
        3.0,
        "Seconds a daemon or cron command has to end when it is asked to, before it is killed.",
        check=positive,
    )
    # -- log, names and files --------------------------------------------------------------
    disable_logging: bool = option(
        False,
        "Write no line for each request.",
        short="L",
    )
    log_format: str | None = option(
        None,
        "Form of the line of a request, with uWSGI's %(name) variables.",
        aliases=("logformat",),
        example="%(addr) %(method) %(uri) %(status) %(msecs)ms",
    )
    json_logs: bool = option(
        False,
        "Write the lines of requests and the server's own as JSON objects, one a line.",
        uwsgi="ours",
    )
    log_micros: bool = option(
        False,
        "Count microseconds in the line of a request, not milliseconds.",
    )
    log_x_forwarded_for: bool = option(
        False,
        "Name in the line of a request whom its proxy says it came from.",
    )
    log_4xx: bool = option(
        False,
        "With disable-logging: log requests answered with a status from 400 to 499 all the same.",
    )
    log_5xx: bool = option(
        False,
        "The same for a status from 500 to 599.",
    )
    log_slow: int = option(
        0,
        "The same for requests that took so many milliseconds or longer; 0: for none.",
        check=not_negative,
        example="1000",
    )
    log_big: int = option(
        0,
        "The same for answers of so many bytes or more; 0: for none.",
        check=not_negative,
        example="1000000",
    )
    log_zero: bool = option(
        False,
        "The same for answers without a body.",
    )
    logto: str | None = option(
        None,
        "File to which everything is logged.",
        path=True,
        example="/var/log/app.log",
    )
    logto2: str | None = option(
        None,
        "The same, opened after the user was changed.",
        path=True,
        example="/var/log/app.log",
    )
    log_maxsize: int = option(
        0,
        "Bytes from which the log file is put aside and begun anew; 0: never.",
        check=not_negative,
        example="100000000",
    )
    log_backupname: str | None = option(
        None,
        "Name of the log file that is put aside. Default: its own, with the unix time.",
        path=True,
        example="/var/log/app.log.old",
    )
    log_reopen: bool = option(
        True,
        "Open the log anew at a reload.",
        uwsgi="accepted: it is opened anew by SIGUSR1, the fifo's l or touch-logreopen",
    )
    touch_logreopen: tuple[str, ...] = option(
        (),
        "File whose change has the log opened anew.",
        uwsgi="differs: at once, not within a second; and the file need not be there yet",
        example="/run/app.logreopen",
    )
    touch_logrotate: tuple[str, ...] = option(
        (),
        "File whose change has the log put aside and begun anew.",
        uwsgi="differs: at once, not within a second; and the file need not be there yet",
        example="/run/app.logrotate",
    )
    daemonize: str | None = option(
        None,
        "Leave the terminal, and log to this file.",
        short="d",
        uwsgi="differs: the command returns when the sockets are bound, and with the exit code of"
        " a start that failed; umask is not touched",
        path=True,
        example="/var/log/app.log",
    )
    daemonize2: str | None = option(
        None,
        "The same; the command returns when the application is loaded and serves.",
        uwsgi="differs: a start that fails is the command's exit code",
        path=True,
        example="/var/log/app.log",
    )
    master_fifo: tuple[str, ...] = option(
        (),
        "Named pipe in which letters are commands: r reloads, q stops, l opens the log anew.",
        uwsgi="differs: it is removed at the end; letters that make no sense here say what to do",
        example="/run/app.fifo",
    )
    log_master: bool = option(
        True,
        "Log through the master.",
        uwsgi="accepted: every process writes its own whole lines to the same place",
    )
    pidfile: str | None = option(
        None,
        "File to which the master's pid is written.",
        path=True,
        example="/run/app.pid",
    )
    safe_pidfile: str | None = option(
        None,
        "The same: the master's pid is final from the start.",
        path=True,
        example="/run/app.pid",
    )
    pidfile2: str | None = option(
        None,
        "The same, written after the user was changed.",
        path=True,
        example="/run/app/app.pid",
    )
    safe_pidfile2: str | None = option(
        None,
        "The same as pidfile2.",
        path=True,
        example="/run/app/app.pid",
    )
    auto_procname: bool = option(
        True,
        "Give the processes telling names; they always have them.",
        uwsgi="accepted: processes always have telling names",
    )
    procname_prefix: str = option(
        "",
        "Text in front of the processes' names.",
        read=read_any,
        example="shop-",
    )
    procname_prefix_spaced: str = option(
        "",
        "The same, and a blank.",
        read=read_any,
        example="shop",
    )
    procname_append: str = option(
        "",
        "Text behind the processes' names.",
        read=read_any,
        example="-shop",
    )
    procname: str = option(
        "",
        "Name of all processes, instead of the telling ones.",
        read=read_any,
        example="shop",
    )
    procname_master: str = option(
        "",
        "Name of the master, instead of the telling one.",
        read=read_any,
        example="shop-master",
    )
    # -- configuration ---------------------------------------------------------------------
    strict: bool = option(
        False,
        "End the start at an option that is not known or not there yet.",
    )
    show_config: bool = option(
        False,
        "Print the configuration as it was understood.",
    )
    # -- taken, without effect ---------------------------------------------------------------
    thunder_lock: bool = option(
        True,
        "Let one worker at a time accept connections.",
        uwsgi="accepted: the kernel wakes one worker for each connection",
    )
    max_vars: int = option(
        64,
        "Slots for the variables of a request.",
        short="v",
        uwsgi="accepted: there is no such limit, only buffer-size",
    )
    plugins: tuple[str, ...] = option(
        (),
        "Plugins to load.",
        aliases=("plugin", "need-plugins", "need-plugin"),
        uwsgi="accepted: there is nothing to load, Python and HTTP are built in",
        example="python3",
    )
    plugins_dir: tuple[str, ...] = option(
        (),
        "Directory of plugins.",
        aliases=("plugin-dir",),
        uwsgi="accepted: there is nothing to load",
        example="/usr/lib/uwsgi",
    )
    autoload: bool = option(
        False,
        "Load the plugins that options need.",
        uwsgi="accepted: there is nothing to load",
    )
    lock_engine: str = option(
        "",
        "Kind of the locks.",
        uwsgi="accepted: locks are robust pthread mutexes, or file locks where there are none",
    )
    check_interval: int = option(
        1,
        "Seconds of the master's cycle.",
        uwsgi="accepted: the master sleeps until something is due",
    )
    offload_threads: int = option(
        0,
        "Threads that send files.",
        aliases=("offload-thread",),
        uwsgi="accepted: a slow client costs a worker a buffer, not its time",
    )
    close_on_exec: bool = option(
        True,
        "Close our descriptors in programs that the app starts.",
        aliases=("close-on-exec2",),
        uwsgi="accepted: they are always closed",
    )
    ignore_sigpipe: bool = option(
        True,
        "Do not report clients that went away.",
        aliases=("ignore-write-errors", "disable-write-exception"),
        uwsgi="accepted: a client that goes away is no error",
    )
    http_auto_chunked: bool = option(
        True,
        "Send answers of unknown length in chunks.",
        uwsgi="accepted: always, to a client that speaks HTTP/1.1",
    )
    http_manage_expect: str = option(
        "true",
        "Answer `Expect: 100-continue`.",
        uwsgi="accepted: always, when the app is about to read the body",
        bare="true",
    )
    http_processes: int = option(
        1,
        "Processes of the HTTP router.",
        aliases=("http-workers",),
        uwsgi="accepted: there is no router process, the workers answer themselves",
    )
    py_call_osafterfork: bool = option(
        True,
        "Tell Python about forks.",
        aliases=("py-call-uwsgi-fork-hooks",),
        uwsgi="accepted: always, the fork is Python's own",
    )
    wsgi_env_behaviour: str = option(
        "holy",
        "Share the WSGI environment between requests or not.",
        aliases=("wsgi-env-behavior",),
        uwsgi="accepted: each request has an environment of its own",
    )

    # -- not options: how they were written ---------------------------------------------------
    opt: OptView = field(default_factory=dict)
    """What the app sees as `uwsgi.opt`: each name as written; a list when it was repeated."""
    notices: tuple[Notice, ...] = ()
    """What to say once at the start."""
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """For each field that was set: place and words, one for each value."""

    @property
    def counts_spools(self) -> bool:
        """Does anybody want to know how many tasks lie in the spool directories?"""
        return bool(self.spooler and (self.stats or self.metrics))

    @property
    def log_path(self) -> str | None:
        """The file that everything is logged to; None when it is stderr."""
        return self.logto2 or self.logto or self.daemonize or self.daemonize2

    def where(self, name: str, index: int = -1) -> str:
        """Return place and words of an option, for an error: `app.ini:3: chdir = '/srv'`."""
        written = self.origins.get(name)
        return written[index] if written else f"{name} = {getattr(self, name)}"

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """All programs that run beside the server."""
        smart = (*self.smart_attach_daemon, *self.smart_attach_daemon2)
        return (*self.attach_daemon, *self.attach_control_daemon, *self.attach_daemon2, *smart)

    @property
    def cron_commands(self) -> tuple[CronCommand, ...]:
        """All command lines that run at certain minutes."""
        return (*self.cron, *self.unique_cron, *self.cron2)

    @property
    def mule_programs(self) -> tuple[str, ...]:
        """What each mule runs, in the order of their numbers; '' is a mule that waits."""
        waiting = ("",) * self.mules
        first = next((name for name in self.opt if name in ("mule", "mules")), "mule")
        return (*waiting, *self.mule) if first == "mules" else (*self.mule, *waiting)

    @property
    def spooler_seats(self) -> tuple[str, ...]:
        """The directory of each spooler process, in the order of their numbers."""
        counts = [int(count) for count in self.spooler_processes.split()]
        counts = counts if len(counts) > 1 else counts * len(self.spooler)
        return tuple(d for d, count in zip(self.spooler, counts, strict=True) for _ in range(count))

    @property
    def farms(self) -> Mapping[str, tuple[int, ...]]:
        """The numbers of each farm's mules, in the order of the options."""
        parted = (text.partition(":") for text in self.farm)
        return {name: tuple(map(int, numbers.split(","))) for name, _, numbers in parted}

    def titled(self, words: str, *, master: bool = False) -> str:
        """Return the name a process shows, from its telling name and the procname options."""
        spaced = f"{self.procname_prefix_spaced} " if self.procname_prefix_spaced else ""
        name = (self.procname_master if master else "") or self.procname or words
        return f"{self.procname_prefix}{spaced}{name}{self.procname_append}"


FIXED = ("threads", "locks", "spooler", "spooler_processes", "mule", "mules", "farm")
"""What is made of these stands before the first fork: a reload keeps their values."""

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "http_socket": "Sockets and HTTP",
        "master": "Processes",
        "module": "Application",
        "static_map": "Static files",
        "spooler": "Spooler",
        "mule": "Mules",
        "touch_reload": "Reloading",
        "signal_timer": "Signals",
        "erlang": "Erlang",
        "stats": "Watching",
        "attach_daemon": "Programs beside the server",
        "disable_logging": "Log, names and files",
        "strict": "Configuration",
        "thunder_lock": "Taken, without effect",
    }
)
"""The first field of each group, and the group's title."""

TABLE: tuple[Option, ...] = table_of(Settings, GROUPS)
BY_NAME: Mapping[str, Option] = MappingProxyType({name: row for row in TABLE for name in row.names})

"""The roles of ``serve`` and the processes they consist of."""

import os
import signal
import socket
import sys

from django.conf import settings

from oneapi_admin import sandbox_channel
from oneapi_admin.supervisor import valkey
from oneapi_admin.supervisor.children import ChildSpec
from oneapi_admin.supervisor.supervise import Stage, Stages

WEB, WORKER, BEAT, SANDBOX = "web", "worker", "beat", "sandbox"
ALL = (WEB, WORKER, BEAT, SANDBOX)
SETTLE_SECONDS = 15
"""What a web process gets beyond the drain time, to write down what its last calls cost."""
WORKER_PROCESSES = 2


def default_roles() -> list[str]:
    """Everything on one machine with its own database; no sandbox beside a real one."""
    return list(ALL) if settings.EMBEDDED_DATABASE else [WEB, WORKER, BEAT]


def default_web_processes() -> int:
    """SQLite has one writer at a time, and one process commits its calls in larger groups than two."""
    return 1 if settings.EMBEDDED_DATABASE else min(os.cpu_count() or 1, 4)


def stages(
    *, roles: list[str], listener: socket.socket | None, web_processes: int, sandbox_port: int
) -> Stages:
    """The processes for the roles, and the orders of starting and stopping them."""
    has_store = settings.EMBEDDED_REDIS and {WEB, WORKER, BEAT} & set(roles)
    store = Stage(specs=[_valkey()] if has_store else [])
    web = Stage(specs=[_web(listener, number + 1) for number in range(web_processes)] if listener else [])
    jobs = Stage(specs=[spec() for role, spec in ((WORKER, _worker), (BEAT, _beat)) if role in roles])
    sandbox = Stage(specs=[_sandbox(sandbox_port)] if SANDBOX in roles else [])
    # The pages come up first; and calls in flight may still need everything else.
    return Stages(start=[store, sandbox, web, jobs], stop=[web, jobs, sandbox, store])


def _web(listener: socket.socket, number: int) -> ChildSpec:
    return ChildSpec(
        name=f"web-{number}",
        command=(sys.executable, "-m", "oneapi_admin.supervisor.web", str(listener.fileno())),
        pass_fds=(listener.fileno(),),
        says_ready=True,
        stop_seconds=settings.DRAIN_SECONDS + SETTLE_SECONDS,
    )


def _worker() -> ChildSpec:
    options = ("--concurrency", str(WORKER_PROCESSES), "--without-gossip", "--without-mingle")
    return ChildSpec(
        name=WORKER,
        command=(*_celery(), "worker", "--loglevel", "INFO", *options),
        environment={
            "C_FORCE_ROOT": "true",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
        },
        stop_seconds=settings.DRAIN_SECONDS,
        hurry_signal=signal.SIGQUIT,
        orphan_signal=signal.SIGQUIT,
    )


def _beat() -> ChildSpec:
    command = (*_celery(), "beat", "--loglevel", "INFO", "--pidfile=")
    return ChildSpec(name=BEAT, command=command, stop_seconds=10)


def _celery() -> tuple[str, ...]:
    return sys.executable, "-m", "celery", "--quiet", "--app", "oneapi_admin"


def _sandbox(port: int) -> ChildSpec:
    state = str(settings.DATA_DIR / "sandbox.json")
    options = ("--host", sandbox_channel.HOST, "--port", str(port), "--state", state)
    return ChildSpec(
        name=SANDBOX,
        command=(sys.executable, "-m", "sandbox", *options),
        environment={"SANDBOX_API_KEY": sandbox_channel.key()},
        stop_seconds=10,
        # At once: whoever starts after a killed supervisor wants the same port.
        orphan_signal=signal.SIGKILL,
    )


def _valkey() -> ChildSpec:
    return ChildSpec(
        name="valkey",
        command=valkey.command(),
        lock=settings.DATA_DIR / "valkey.lock",
        ready_line="eady to accept connections",
        is_worth_logging=valkey.is_worth_logging,
        stop_seconds=15,
    )

"""One process that serves the port: ``python -m oneapi_admin.supervisor.web LISTENER``.

LISTENER is the number of the listening socket's descriptor. Writes a byte to the descriptor in ``READY_FD``
once it serves.
"""

import os
import signal
import socket
import sys
from types import FrameType

import uvicorn
from django.conf import settings

from oneapi_admin.asgi import application
from oneapi_admin.supervisor.protocol import GuardedHttpProtocol

KEEP_ALIVE_SECONDS = 75
"""Longer than the minute for which reverse proxies keep idle connections, so that they close them, not we."""


class Server(uvicorn.Server):
    """Says when it serves, and drops the calls in flight when it is told to stop for the second time."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if descriptor := os.environ.pop("READY_FD", ""):
            os.write(int(descriptor), b"\n")
            os.close(int(descriptor))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own way to hurry leaves out the application's shutdown, which settles calls.
        if not self.should_exit:
            super().handle_exit(sig, frame)
            return
        for task in list(self.server_state.tasks):
            task.get_loop().call_soon_threadsafe(task.cancel)


def main() -> None:
    signal.signal(signal.SIGTERM, _exit)  # what uvicorn repeats for us when it has stopped
    config = uvicorn.Config(
        application,
        interface="asgi3",
        loop="uvloop",
        http=GuardedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.TRUSTED_PROXIES),
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.DRAIN_SECONDS,
    )
    Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()

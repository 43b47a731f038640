"""The product's web server, which is killed after its first top-up, before it says so."""

import os
import signal
from typing import Any

from oneapi_admin.supervisor import web

serve = web.application


async def die_before_answering(scope: Any, receive: Any, send: Any) -> None:
    async def die(message: Any) -> None:
        if scope["path"].endswith("/top-ups"):
            os.kill(os.getpid(), signal.SIGKILL)
        await send(message)

    await serve(scope, receive, die if scope["type"] == "http" else send)


web.application = die_before_answering

if __name__ == "__main__":
    web.main()

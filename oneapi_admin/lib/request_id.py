"""The id that every answer carries and that logs, holds and usage rows are found by."""

import os
import time
from functools import lru_cache

HEADER = "X-Oneapi-Request-Id"


def new_request_id() -> str:
    """Return a sortable, unguessable id: UTC time to the second and 80 random bits."""
    return _stamp(int(time.time())) + os.urandom(10).hex()


@lru_cache(maxsize=1)
def _stamp(second: int) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(second))

"""The id that every answer carries and that logs, holds and usage rows are found by."""

import secrets
import time

HEADER = "X-Oneapi-Request-Id"


def new_request_id() -> str:
    """Return a sortable, unguessable id: UTC time to the second and 80 random bits."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(10)

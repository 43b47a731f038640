"""Callers of ``/v1`` that look at every figure they are told."""

import http.client
import json
import re
from dataclasses import dataclass
from typing import Any

from oneapi_admin.lib.request_id import HEADER

_FIGURES = re.compile(rb": X-Quota-Charged: (\d+), X-Quota-Remaining: (-?\d+)\n\n")


@dataclass(frozen=True)
class Told:
    """What a caller is told of a call: its figures, or why it was refused."""

    status: int
    request_id: str
    charged: int | None = None
    remaining: int | None = None
    code: str = ""
    numbers: dict[str, int] | None = None
    is_whole: bool = True


class OpenCall:
    """A call whose answer has begun."""

    def __init__(self, port: int, key: str, body: dict[str, Any]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Authorization": f"Bearer {key}"}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        self._response = self._connection.getresponse()
        self.request_id = str(self._response.headers[HEADER])
        self._is_stream = str(self._response.headers["content-type"]).startswith("text/event-stream")
        self._begun = b""

    @property
    def is_admitted(self) -> bool:
        return self._response.status == 200

    def read_an_event(self) -> None:
        while not self._begun.endswith(b"\n\n"):
            self._begun += self._response.readline()

    def finish(self) -> Told:
        body = self._begun + self._response.read()
        self.leave()
        return self._told_in_stream(body) if self._is_stream else self._told_at_once(body)

    def leave(self) -> None:
        self._response.close()
        self._connection.close()

    def _told_in_stream(self, body: bytes) -> Told:
        [figures] = _FIGURES.findall(body)
        charged, remaining = map(int, figures)
        is_whole = body.endswith(b"data: [DONE]\n\n")
        return Told(200, self.request_id, charged, remaining, is_whole=is_whole)

    def _told_at_once(self, body: bytes) -> Told:
        status, headers = self._response.status, self._response.headers
        if status == 200:
            remaining = int(headers["x-quota-remaining"])
            return Told(status, self.request_id, int(headers["x-quota-charged"]), remaining)
        error = json.loads(body)["error"]
        details = error.get("details")
        numbers = details and {name: details[name] for name in ("left", "held", "needed")}
        return Told(status, self.request_id, code=error["code"], numbers=numbers)

"""Celery's way to Redis, mended where it is away at the wrong moment."""

from contextlib import suppress
from typing import Any

from kombu.transport import redis
from redis.exceptions import RedisError


class PatientQoS(redis.QoS):
    """What was received and is not done yet.

    When a connection is lost, Celery closes it twice, and kombu (5.7.0) gives back what was not done. A
    channel that resisted the first time has no connection any more the second time, which Celery takes for
    a fault of its own: the worker ends, or hangs in ending.
    """

    def restore_unacked(self, client: Any = None) -> None:
        """Give back what is not done; while Redis is away it stays there, and is given out again after the
        visibility time-out."""
        transport = self.channel.connection
        if transport is not None and transport.client is not None:
            with suppress(RedisError):
                super().restore_unacked(client)  # type: ignore[no-untyped-call]
        self._delivered.clear()


def be_patient() -> None:
    """Have every connection to Redis do so."""
    redis.Channel.QoS = PatientQoS

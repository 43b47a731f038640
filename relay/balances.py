"""Having a balance asked for at once when a provider says that there is nothing left."""

import asyncio
from concurrent.futures import Executor
from datetime import UTC, datetime

import structlog
from django.db import Error, connection

from billing.services.polling import ask_soon

logger = structlog.get_logger(__name__)

EVERY_S = 60
"""A channel's balance is hurried no more often, however many calls are refused meanwhile."""


class BalanceAsking:
    """Only makes the next question due: what follows from the answer is decided where it is read."""

    def __init__(self, executor: Executor) -> None:
        """
        :param executor: its thread may use the database
        """
        self._executor = executor
        self._not_before: dict[int, float] = {}

    def hurry(self, channel_id: int) -> None:
        """Have a channel's balance asked for; nobody waits for that."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before.get(channel_id, 0):
            return
        self._not_before[channel_id] = loop.time() + EVERY_S
        loop.run_in_executor(self._executor, self._hurry, channel_id)

    def _hurry(self, channel_id: int) -> None:
        try:
            if ask_soon(channel_id=channel_id, at=datetime.now(tz=UTC)):
                logger.info("relay.balance_asked_for", channel_id=channel_id)
        except Error:
            connection.close()
            self._not_before.pop(channel_id, None)  # the next refusal tries again
            logger.warning("relay.balance_not_asked_for", channel_id=channel_id)

"""What happens while calls are made: top-ups by a program, and relay processes that are killed."""

import http.client
import json
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing

from bench.accuracy.callers import Budget
from tests.support.processes import WebProcess

_GIVE_UP_S = 60.0
Ports = Callable[[], Sequence[int]]


class Servers:
    """Relay processes on one database; those that are killed are replaced."""

    def __init__(self, processes: list[WebProcess]) -> None:
        """
        :param processes: whose owner stops what is in the list at the end
        """
        self._processes = processes
        self.kills = 0

    def ports(self) -> Sequence[int]:
        return [process.port for process in self._processes]

    def kill_one(self) -> None:
        """SIGKILL the next one in turn, and put a new one in its place as soon as that serves."""
        place = self.kills % len(self._processes)
        self._processes[place].stop(signal.SIGKILL)
        self.kills += 1
        self._processes[place] = WebProcess()


class Background:
    """Something done at given times in a thread, which tells of its failure at the end."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """
        :raises Exception: what went wrong in the thread
        """
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def work(self) -> None:
        """Run until all is done or :meth:`wait_until` says no."""
        raise NotImplementedError

    def wait_until(self, at: float) -> bool:
        """Wait until a time of the monotonic clock; False if it is over before."""
        return not self._over.wait(max(at - time.monotonic(), 0))

    def _run(self) -> None:
        try:
            self.work()
        except Exception as exc:  # noqa: BLE001  raised again where it is waited for
            self._failure = exc


class Killer(Background):
    def __init__(self, servers: Servers, *, every_s: float) -> None:
        super().__init__()
        self._servers, self._every_s = servers, every_s

    def work(self) -> None:
        while self.wait_until(time.monotonic() + self._every_s):
            self._servers.kill_one()


class TopUps(Background):
    """Tops accounts up over HTTP, as a shop does: again with the same key when no answer came.

    Some are sent twice on purpose, which must count once.
    """

    def __init__(
        self, budgets: Sequence[Budget], *, access_key: str, ports: Ports, seconds: float, seed: int
    ) -> None:
        super().__init__()
        self._access_key, self._ports = access_key, ports
        self._chance = random.Random(seed)
        parts = [(budget.account_id, quota) for budget in budgets for quota in budget.later]
        self._planned = sorted((self._chance.uniform(0, seconds), *part) for part in parts)
        self.granted: dict[int, int] = defaultdict(int, {b.account_id: b.at_start for b in budgets})
        """Quota units that each account was given, by what was answered."""
        self.count = 0

    def work(self) -> None:
        began = time.monotonic()
        for number, (at, account_id, quota) in enumerate(self._planned):
            if not self.wait_until(began + at):
                return
            for _ in range(self._chance.choice((1, 1, 1, 2))):
                self._top_up(account_id, quota, f"accuracy-{number}")
            self.granted[account_id] += quota
            self.count += 1

    def _top_up(self, account_id: int, quota: int, key: str) -> None:
        """
        :raises RuntimeError: if it is refused, or nobody answers for a minute
        """
        deadline = time.monotonic() + _GIVE_UP_S
        while True:
            try:
                status, said = self._ask(account_id, quota, key)
            except (OSError, http.client.HTTPException) as exc:
                status, said = 0, repr(exc)
            if status == 201:
                return
            if status not in (0, 429) or time.monotonic() > deadline:
                raise RuntimeError(f"a top-up was answered with {status}: {said}")
            time.sleep(0.05)

    def _ask(self, account_id: int, quota: int, key: str) -> tuple[int, str]:
        headers = {
            "Authorization": f"Bearer {self._access_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        port = self._chance.choice(self._ports())
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            path, body = f"/api/v1/users/{account_id}/top-ups", json.dumps({"quota": quota})
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

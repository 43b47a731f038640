"""What the ledger has to do, said once more in plain Python, without a database and without a lock.

It shares no line with the product. Everything is in quota units.
"""

from typing import Any

from tests.stateful.model.calls import Calls
from tests.stateful.model.codes import Codes
from tests.stateful.model.corrections import Corrections
from tests.stateful.model.movements import Movements
from tests.stateful.model.people import People


class Ledger(People, Movements, Corrections, Codes, Calls):
    """All accounts and what happened to them."""

    def view(self) -> dict[str, Any]:
        """What has to be in the database."""
        return {
            "accounts": {pk: (a.balance, a.held, a.used, a.calls) for pk, a in self.accounts.items()},
            "statuses": {pk: account.status for pk, account in self.accounts.items()},
            "tokens": {
                pk: (t.limit, t.used, t.held, t.calls, t.is_enabled, t.expires_at)
                for pk, t in self.tokens.items()
                if not t.is_deleted
            },
            "holds": {pk: (h.account_id, h.token_id, h.amount) for pk, h in self.holds.items()},
            "entries": [
                (e.account_id, e.kind, e.amount, e.balance_after, e.reference, e.reverses)
                for e in self.entries
            ],
            "runs": self.runs(),
            "usage": {pk: (u.account_id, u.token_id, u.quota, u.entry) for pk, u in self.usage.items()},
            "batches": {pk: (b.status, *self.batch_figures(pk)) for pk, b in self.batches.items()},
            "codes": {
                pk: (c.batch_id, c.status, len(c.users), c.users[-1] if c.users else None)
                for pk, c in self.codes.items()
            },
            "redemptions": [(r.code_id, r.number, r.account_id, r.entry) for r in self.redemptions],
        }

"""What each provider documents, with the bodies of its own pages, cut to what matters. A new adapter belongs here."""

from tests.billing.upstream.balances.contracts import accounts, clouds, relays, reports
from tests.billing.upstream.balances.contracts.form import ADMIN_KEY, KEY, Contract, Step

BY_HAND = Contract(code="manual", base_url="https://api.groq.com/openai", steps=[], readings=[])
CONTRACTS = [*relays.CONTRACTS, *reports.CONTRACTS, *accounts.CONTRACTS, *clouds.CONTRACTS, BY_HAND]
FIRST_OF = {contract.code: contract for contract in reversed(CONTRACTS)}
"""The plainest contract of each adapter."""

__all__ = ["ADMIN_KEY", "CONTRACTS", "FIRST_OF", "KEY", "Contract", "Step"]

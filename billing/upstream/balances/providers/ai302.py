"""302.AI: the balance in dollars, told to any key.

No page of the vendor's was read. Seen in https://github.com/ThinkInAIXYZ/deepchat: ``GET
/dashboard/balance``, the amount as text.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import main_amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class AI302(Adapter):
    code = "ai302"
    title = "302.AI"
    source = "https://github.com/ThinkInAIXYZ/deepchat"
    hosts = ("api.302.ai",)

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        data = ask.get(f"{account.origin}/dashboard/balance", headers=bearer(account.key))
        remaining = main_amount(mapping(data, "data"), "balance")
        return [Reading(kind=ReadingKind.BALANCE, currency="USD", remaining=remaining)]

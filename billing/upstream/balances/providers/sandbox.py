"""The sandbox of this product: a One API site whose key is its account. See ``sandbox/app.py``."""

from billing.upstream.balances.ask import Ask
from billing.upstream.balances.providers.relay import OneApiToken, Site
from billing.upstream.balances.reading import Account, ReadingKind


class Sandbox(OneApiToken):
    code = "sandbox"
    title = "Sandbox"
    note = ""
    kind = ReadingKind.BALANCE

    def _site(self, account: Account, ask: Ask) -> Site:  # noqa: ARG002
        return Site()

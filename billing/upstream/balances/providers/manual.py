"""Providers that tell a key nothing of money: an operator enters what the console says."""

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.reading import Account, Reading


class Manual(Adapter):
    code = "manual"
    title = _("Entered by hand")
    source = ""
    note = _("The provider tells a key nothing about money: enter what its console says.")
    hosts = (
        "generativelanguage.googleapis.com",
        ".aiplatform.googleapis.com",
        "aiplatform.googleapis.com",
        "api.groq.com",
        "api.mistral.ai",
        "api.together.xyz",
        "api.together.ai",
        ".openai.azure.com",
        ".cognitiveservices.azure.com",
        ".services.ai.azure.com",
        "api.perplexity.ai",
        "open.bigmodel.cn",
        "api.z.ai",
        "api.minimax.io",
        "api.minimax.chat",
        "api.minimaxi.com",
        "api.stepfun.ai",
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:  # noqa: ARG002  nobody is asked
        return []

"""Volcengine, for Ark (Doubao): the account's balance in yuan, told to a signed call only.

https://www.volcengine.com/docs/6269/1223898: ``QueryBalanceAcct``, version 2022-01-01; amounts as text.
Signed as https://www.volcengine.com/docs/6369/67269 says, whose example is this very call.
"""

import hashlib
import hmac
from datetime import UTC

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import amount, main_amount, mapping, refusal, text
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "billing.volcengineapi.com"
_QUERY = "Action=QueryBalanceAcct&Version=2022-01-01"
_REGION = "cn-beijing"
_SERVICE = "billing"
_NO_BODY = hashlib.sha256(b"").hexdigest()


class Volcengine(Adapter):
    code = "volcengine"
    title = "Volcengine"
    source = "https://www.volcengine.com/docs/6269/1223898"
    note = _("The balance of the whole cloud account, credit included.")
    hosts = (".volces.com",)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(name="access_key_id", label=_("Access key ID"), is_secret=False),
        CredentialField(
            name="secret_access_key",
            label=_("Secret access key"),
            hint=_("Of an IAM user that may read balances and nothing else."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        date = f"{ask.now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        authorization = sign(
            key_id=account.admin["access_key_id"], secret=account.admin["secret_access_key"], date=date
        )
        headers = {"x-date": date, "authorization": authorization}
        answer = ask.get(f"https://{HOST}/?{_QUERY}", headers=headers)
        if answer.get("ResponseMetadata") is not None:
            metadata = mapping(answer, "ResponseMetadata")
            if metadata.get("Error") is not None:
                error = mapping(metadata, "Error")
                raise refusal(text(error, "Message") or text(error, "Code"))
        data = mapping(answer, "Result")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="CNY",
                remaining=main_amount(data, "AvailableBalance"),
                topped_up=amount(data, "CashBalance"),
            )
        ]


def sign(*, key_id: str, secret: str, date: str) -> str:
    """The ``Authorization`` of the call.

    :param date: such as 20250329T180937Z
    """
    names = "host;x-date"
    canonical = f"GET\n/\n{_QUERY}\nhost:{HOST}\nx-date:{date}\n\n{names}\n{_NO_BODY}"
    scope = f"{date[:8]}/{_REGION}/{_SERVICE}/request"
    to_sign = f"HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return f"HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"

"""Baidu AI Cloud, for Qianfan: the account's cash in yuan, told to a signed call only.

https://cloud.baidu.com/doc/Finance/s/Skhtyytwu: ``POST /v1/finance/cash/balance``. Signed as
https://cloud.baidu.com/doc/Reference/s/njwvz1yfu says.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC
from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import main_amount
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "billing.baidubce.com"
_PATH = "/v1/finance/cash/balance"
_VALID_S = 1800


class Baidu(Adapter):
    code = "baidu"
    title = "Baidu AI Cloud"
    source = "https://cloud.baidu.com/doc/Finance/s/Skhtyytwu"
    note = _("The cash of the whole cloud account; vouchers and credit are not counted.")
    hosts = ("qianfan.baidubce.com", "aip.baidubce.com")
    admin_hosts = (HOST,)
    fields = (
        CredentialField(name="access_key_id", label=_("Access key ID"), is_secret=False),
        CredentialField(
            name="secret_access_key",
            label=_("Secret access key"),
            hint=_("Of a user that may read the finances and nothing else."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        date = f"{ask.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        authorization = sign(
            key_id=account.admin["access_key_id"],
            secret=account.admin["secret_access_key"],
            method="POST",
            path=_PATH,
            headers={"host": HOST, "x-bce-date": date},
            date=date,
        )
        headers = {
            "x-bce-date": date,
            "content-type": "application/json; charset=utf-8",
            "authorization": authorization,
        }
        data = ask.post(f"https://{HOST}{_PATH}", headers=headers, body=b"{}")
        return [Reading(kind=ReadingKind.BALANCE, currency="CNY", remaining=main_amount(data, "cashBalance"))]


def sign(
    *,
    key_id: str,
    secret: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    date: str,
    query: str = "",
) -> str:
    """The ``Authorization`` of a call.

    :param headers: all that are signed, by their names in small letters
    :param date: such as 2015-04-27T08:23:49Z
    :param query: in the canonical form
    """
    prefix = f"bce-auth-v1/{key_id}/{date}/{_VALID_S}"
    lines = sorted(f"{quote(name, safe='')}:{quote(value, safe='')}" for name, value in headers.items())
    canonical = "\n".join([method, quote(path), query, *lines])
    key = hmac.new(secret.encode(), prefix.encode(), hashlib.sha256).hexdigest()
    signature = hmac.new(key.encode(), canonical.encode(), hashlib.sha256).hexdigest()
    return f"{prefix}/{';'.join(sorted(headers))}/{signature}"

"""Alibaba Cloud, for DashScope (Model Studio): the account's balance, told to a signed call only.

https://help.aliyun.com/document_detail/87997.html: ``QueryAccountBalance``, version 2017-12-14, action
``bss:DescribeAcccount``; amounts as text, also with commas. Signed as
https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature says. Accounts of
the international site are asked at a host of their own.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import amount, check_success, currency, main_amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind

_ALGORITHM = "ACS3-HMAC-SHA256"
_NO_BODY = hashlib.sha256(b"").hexdigest()


class AlibabaChina(Adapter):
    code = "alibaba_cn"
    title = "Alibaba Cloud (aliyun.com)"
    source = "https://help.aliyun.com/document_detail/87997.html"
    note = _("The balance of the whole cloud account, credit included.")
    hosts: Sequence[str] = ("dashscope.aliyuncs.com",)
    admin_hosts: Sequence[str] = ("business.aliyuncs.com",)
    fields = (
        CredentialField(name="access_key_id", label=_("AccessKey ID"), is_secret=False),
        CredentialField(
            name="access_key_secret",
            label=_("AccessKey secret"),
            hint=_("Of a RAM user that may do bss:DescribeAcccount and nothing else."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        host = self.admin_hosts[0]
        signed = {
            "x-acs-action": "QueryAccountBalance",
            "x-acs-content-sha256": _NO_BODY,
            "x-acs-date": f"{ask.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-version": "2017-12-14",
        }
        authorization = sign(
            key_id=account.admin["access_key_id"],
            secret=account.admin["access_key_secret"],
            headers={"host": host, **signed},
        )
        answer = ask.post(f"https://{host}/", headers={**signed, "authorization": authorization})
        check_success(answer, "Success", means=True, words="Message")
        data = {name: _without_commas(value) for name, value in mapping(answer, "Data").items()}
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency=currency(data, "Currency"),
                remaining=main_amount(data, "AvailableAmount"),
                topped_up=amount(data, "AvailableCashAmount"),
            )
        ]


class AlibabaInternational(AlibabaChina):
    code = "alibaba_intl"
    title = "Alibaba Cloud (alibabacloud.com)"
    source = "https://www.alibabacloud.com/help/doc-detail/87997.htm"
    hosts = ("dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com")
    admin_hosts = ("business.ap-southeast-1.aliyuncs.com",)


def sign(*, key_id: str, secret: str, headers: Mapping[str, str], query: str = "") -> str:
    """The ``Authorization`` of a POST to ``/`` without a body.

    :param headers: all that are signed, by their names in small letters
    :param query: in the canonical form
    """
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"POST\n/\n{query}\n{lines}\n{names}\n{_NO_BODY}"
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


def _without_commas(value: Any) -> Any:
    """The international site writes thousands as 1,000.19."""
    return value.replace(",", "") if isinstance(value, str) else value

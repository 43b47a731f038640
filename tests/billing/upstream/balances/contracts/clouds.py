"""Clouds want signatures, which are worked out here once more in the words of their pages."""

import hashlib
import hmac
from collections.abc import Callable
from decimal import Decimal

from billing.upstream.balances.reading import Reading
from tests.billing.upstream.balances.contracts.form import (
    ADMIN_KEY,
    BALANCE,
    Contract,
    Headers,
    Step,
)
from tests.billing.upstream.balances.provider import Asked

KEY_ID = "AKLTexample0001"
CLOUD = {"access_key_id": KEY_ID, "access_key_secret": ADMIN_KEY}
CLOUD_2 = {"access_key_id": KEY_ID, "secret_access_key": ADMIN_KEY}


def mac(key: bytes, words: str) -> bytes:
    return hmac.new(key, words.encode(), hashlib.sha256).digest()


def sha(words: bytes) -> str:
    return hashlib.sha256(words).hexdigest()


def alibaba_headers(host: str) -> Callable[[Asked], Headers]:
    def headers(asked: Asked) -> Headers:
        nonce = asked.headers["x-acs-signature-nonce"]
        assert len(nonce) == 32
        signed = {
            "host": host,
            "x-acs-action": "QueryAccountBalance",
            "x-acs-content-sha256": sha(asked.body),
            "x-acs-date": "2026-11-26T15:30:45Z",
            "x-acs-signature-nonce": nonce,
            "x-acs-version": "2017-12-14",
        }
        request = ["POST", "/", "", *(f"{name}:{value}" for name, value in signed.items()), ""]
        request += [";".join(signed), sha(asked.body)]
        signature = mac(ADMIN_KEY.encode(), f"ACS3-HMAC-SHA256\n{sha(chr(10).join(request).encode())}").hex()
        authorization = (
            f"ACS3-HMAC-SHA256 Credential={KEY_ID},SignedHeaders={';'.join(signed)},Signature={signature}"
        )
        del signed["host"]
        return {**signed, "authorization": authorization}

    return headers


def volcengine_headers(asked: Asked) -> Headers:
    date = "20261126T153045Z"
    query = asked.url.partition("?")[2]
    request = (
        f"GET\n/\n{query}\nhost:billing.volcengineapi.com\nx-date:{date}\n\nhost;x-date\n{sha(asked.body)}"
    )
    k_date = mac(ADMIN_KEY.encode(), "20261126")
    k_signing = mac(mac(mac(k_date, "cn-beijing"), "billing"), "request")
    scope = "20261126/cn-beijing/billing/request"
    signature = mac(k_signing, f"HMAC-SHA256\n{date}\n{scope}\n{sha(request.encode())}").hex()
    credential = f"Credential={KEY_ID}/{scope}, SignedHeaders=host;x-date, Signature={signature}"
    return {"x-date": date, "authorization": f"HMAC-SHA256 {credential}"}


def baidu_headers(asked: Asked) -> Headers:
    date = "2026-11-26T15:30:45Z"
    prefix = f"bce-auth-v1/{KEY_ID}/{date}/1800"
    signing_key = mac(ADMIN_KEY.encode(), prefix).hex()
    request = (
        "POST\n/v1/finance/cash/balance\n\nhost:billing.baidubce.com\nx-bce-date:2026-11-26T15%3A30%3A45Z"
    )
    signature = mac(signing_key.encode(), request).hex()
    return {
        "x-bce-date": date,
        "content-type": "application/json; charset=utf-8",
        "authorization": f"{prefix}/host;x-bce-date/{signature}",
    }


CONTRACTS = [
    *(
        Contract(
            code=code,
            base_url=f"https://{inference}/compatible-mode",
            admin=CLOUD,
            steps=[
                Step(
                    method="POST",
                    url=f"https://{host}/",
                    headers=alibaba_headers(host),
                    answer='{"Code":"200","Message":"success","RequestId":"16176743","Success":true,"Data":'
                    f'{{"AvailableAmount":"{amount}","AvailableCashAmount":"0.00","CreditAmount":"1000.00",'
                    f'"MybankCreditAmount":"0.00","Currency":"{currency}"}}}}',
                )
            ],
            readings=[
                Reading(
                    kind=BALANCE,
                    currency=currency,
                    remaining=Decimal(amount.replace(",", "")),
                    topped_up=Decimal(0),
                )
            ],
        )
        for code, inference, host, currency, amount in (
            ("alibaba_cn", "dashscope.aliyuncs.com", "business.aliyuncs.com", "CNY", "-11.19"),
            (
                "alibaba_intl",
                "dashscope-intl.aliyuncs.com",
                "business.ap-southeast-1.aliyuncs.com",
                "USD",
                "1,000.19",
            ),
        )
    ),
    Contract(
        code="volcengine",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        admin=CLOUD_2,
        steps=[
            Step(
                url="https://billing.volcengineapi.com/?Action=QueryBalanceAcct&Version=2022-01-01",
                headers=volcengine_headers,
                answer='{"ResponseMetadata":{"RequestId":"2023","Action":"QueryBalanceAcct","Version":"2022-01-01",'
                '"Service":"billing"},"Result":{"AccountID":2100000001,"ArrearsBalance":"1.01",'
                '"AvailableBalance":"77.01","CashBalance":"83.01","CreditLimit":"0.00","FreezeAmount":"5.00"}}',
            )
        ],
        readings=[
            Reading(kind=BALANCE, currency="CNY", remaining=Decimal("77.01"), topped_up=Decimal("83.01"))
        ],
    ),
    Contract(
        code="baidu",
        base_url="https://qianfan.baidubce.com/v2",
        admin=CLOUD_2,
        steps=[
            Step(
                method="POST",
                url="https://billing.baidubce.com/v1/finance/cash/balance",
                headers=baidu_headers,
                body=b"{}",
                answer='{\n "cashBalance": 850.0000\n}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="CNY", remaining=Decimal(850))],
    ),
]

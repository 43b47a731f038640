"""The signatures of the clouds, by the examples that their own pages publish."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from billing.upstream.balances.providers import alibaba, baidu, volcengine
from billing.upstream.balances.registry import ADAPTERS
from tests.billing.upstream.balances.contracts import FIRST_OF
from tests.billing.upstream.balances.provider import Provider

NO_BODY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_alibaba_signs_as_its_page_does() -> None:
    # https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
    headers = {
        "x-acs-version": "2014-05-26",
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": NO_BODY,
    }

    authorization = alibaba.sign(
        key_id="YourAccessKeyId",
        secret="YourAccessKeySecret",
        headers=headers,
        query="ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
    )

    assert authorization == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;"
        "x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_volcengine_signs_as_its_page_does() -> None:
    # https://www.volcengine.com/docs/6369/67269, whose example is the call for the balance; the ID is not signed
    authorization = volcengine.sign(
        key_id="an-access-key-id",
        secret="WkRZeE1EQmxPVGhsWWpWak5HVmtNbUUxTXpZeU9UVXlOMlE1TmpZeVlqTQ==",
        date="20250329T180937Z",
    )

    assert authorization == (
        "HMAC-SHA256 Credential=an-access-key-id/20250329/cn-beijing/billing/request,"
        " SignedHeaders=host;x-date, Signature=1eda9e7e6b1728151a8e8791fdaf67cfbd28bd5c80d0fce2eb208746cf483105"
    )


def test_baidu_signs_as_its_page_does() -> None:
    # https://cloud.baidu.com/doc/Reference/s/njwvz1yfu
    headers = {
        "x-bce-date": "2015-04-27T08:23:49Z",
        "host": "bj.bcebos.com",
        "content-type": "text/plain",
        "content-length": "8",
        "content-md5": "NFzcPqhviddjRNnSOGo4rw==",
    }

    authorization = baidu.sign(
        key_id="a" * 32,
        secret="b" * 32,
        method="PUT",
        path="/v1/test/myfolder/readme.txt",
        query="partNumber=9&uploadId=a44cc9bab11cbd156984767aad637851",
        headers=headers,
        date="2015-04-27T08:23:49Z",
    )

    assert authorization == (
        f"bce-auth-v1/{'a' * 32}/2015-04-27T08:23:49Z/1800/content-length;content-md5;content-type;host;x-bce-date/"
        "d74a04362e6a848f5b39b15421cb449427f419c95a480fd6b8cf9fc783e2999e"
    )


@pytest.mark.parametrize(
    ("code", "header", "date"),
    [
        ("alibaba_cn", "x-acs-date", "2026-11-30T17:00:00Z"),
        ("volcengine", "x-date", "20261130T170000Z"),
        ("baidu", "x-bce-date", "2026-11-30T17:00:00Z"),
    ],
)
def test_a_signature_is_dated_in_utc_wherever_the_clock_hangs(
    code: str, header: str, date: str, provider: Provider
) -> None:
    contract = FIRST_OF[code]
    provider.says(contract.steps[0].answer)
    shanghai = datetime(2026, 11, 30, 17, tzinfo=UTC).astimezone(ZoneInfo("Asia/Shanghai"))

    ADAPTERS[code].read(contract.account, provider.ask(now=shanghai))

    assert provider.asked[0].headers[header] == date


def test_alibaba_signs_no_two_requests_with_the_same_number(provider: Provider) -> None:
    contract = FIRST_OF["alibaba_cn"]
    provider.says(*[contract.steps[0].answer] * 2)

    for _ in range(2):
        ADAPTERS["alibaba_cn"].read(contract.account, provider.ask())

    first, second = (asked.headers["x-acs-signature-nonce"] for asked in provider.asked)
    assert first != second

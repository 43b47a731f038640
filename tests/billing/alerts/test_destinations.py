"""Robots of chat services: which addresses are taken, where they lead, and what is kept of them."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from apprise.plugins.discord import NotifyDiscord
from django.core.exceptions import ValidationError

from accounts.models import AuditEvent, User
from accounts.services.permissions import PermissionDeniedError
from billing.models import AlertDestination
from billing.services.alerts import chat, destinations
from tests.factories import NOON, make_admin, make_user
from tests.support.chat_services import ChatServices

pytestmark = pytest.mark.django_db
FEISHU = "https://open.feishu.cn/open-apis/bot/v2/hook/0123-secret-abcd"
ADDRESSES = {
    "feishu://0123-secret-abcd": "open.feishu.cn:443",
    "lark://0123-secret-abcd": "open.larksuite.com:443",
    "dingtalk://abcdef0123456789secret": "oapi.dingtalk.com:443",
    "dingtalk://SECabcdef@abcdef0123456789": "oapi.dingtalk.com:443",
    "wecombot://693a91f6-0000-4bc4-97a0-0ec2sifa5aaa": "qyapi.weixin.qq.com:443",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7Fz": "hooks.slack.com:443",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7Fz/#general": "hooks.slack.com:443",
    "slack://xoxb-1234-1234-abcdefghijkl/#general": "slack.com:443",
    "discord://123456789012345678/abcdefghijklmnop-secret": "discord.com:443",
    "tgram://123456789:ABCdefGHIjklMNOpqrsTUVwxyz012345678/-100123": "api.telegram.org:443",
    "gchat://AAAAspace/thekey/thetoken": "chat.googleapis.com:443",
    f"pover://{'u' * 30}@{'b' * 30}": "api.pushover.net:443",
    "schan://SCTabcdef0123": "sctapi.ftqq.com:443",
    f"pushplus://{'a' * 32}": "www.pushplus.plus:443",
}


def add(
    address: str, *, owner: User | None = None, actor: User | None = None, **fields: Any
) -> AlertDestination:
    said = {"name": "the robot", "address": address, "at": NOON, **fields}
    return destinations.add_destination(actor=actor or owner, owner=owner, **said)


# --- Where addresses lead ---------------------------------------------------------------------


@pytest.mark.parametrize(("address", "host"), ADDRESSES.items())
def test_each_service_is_one_host(services: ChatServices, address: str, host: str) -> None:
    assert chat.canonical_address(address) == address

    chat.send(address, title="t", body="b")

    assert set(services.asked) == {host}


def test_every_service_on_the_list_was_looked_at() -> None:
    assert {address.partition(":")[0] for address in ADDRESSES} == set(chat.SERVICES)


@pytest.mark.parametrize(
    ("pasted", "address"),
    [
        (FEISHU, "feishu://0123-secret-abcd"),
        ("https://open.larksuite.com/open-apis/bot/v2/hook/0123-secret", "lark://0123-secret"),
        ("https://oapi.dingtalk.com/robot/send?access_token=abcdef0123456789", "dingtalk://abcdef0123456789"),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-0000", "wecombot://693a91f6-0000"),
        (
            "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7Fz",
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7Fz",
        ),
        (
            "https://discord.com/api/webhooks/123456789012/abcdefgh-secret",
            "discord://123456789012/abcdefgh-secret",
        ),
    ],
)
def test_the_address_that_a_service_shows_can_be_pasted(pasted: str, address: str) -> None:
    assert chat.canonical_address(f" {pasted}\n") == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "feishu",
        "feishu://",
        "feishu://a b",
        "json://127.0.0.1/",
        "jsons://example.com/",
        "xml://127.0.0.1/",
        "form://127.0.0.1/",
        "file:///etc/passwd",
        "syslog://",
        "dbus://",
        "mailto://user:secret@example.com",
        "apprise://127.0.0.1/token",
        "ntfy://127.0.0.1/topic",
        "gotify://127.0.0.1/token",
        "workflows://127.0.0.1/workflow/signature",
        "zulip://bot@127.0.0.1/token",
        "http://127.0.0.1/",
        "https://open.feishu.cn.example.com/open-apis/bot/v2/hook/0123-secret",
        "https://example.com/?https://open.feishu.cn/open-apis/bot/v2/hook/0123-secret",
        "discord://123456789012345678/abcdefghijklmnop?template=file:///etc/passwd",
        "discord://123456789012345678/abcdefghijklmnop?template=http://127.0.0.1/",
        "discord://123456789012345678/abcdefghijklmnop/%3Ftemplate=/etc/passwd",
        "feishu://0123-secret?redirect=yes",
        "feishu://0123-secret?verify=no",
        "feishu://0123-secret,json://127.0.0.1/",
        "feishu://0123-secret json://127.0.0.1/",
        "feishu://0123-secret\njson://127.0.0.1/",
        "FEISHU://0123-secret",
        "tgram://not-a-token/1",
    ],
)
def test_other_addresses_are_refused(services: ChatServices, address: str) -> None:
    with pytest.raises(ValidationError, match="Enter the address of a robot"):
        chat.canonical_address(address)
    assert chat.send(address, title="t", body="b") == "The address is not valid any more: add it again."
    assert services.asked == []


def test_control_the_library_itself_would_read_a_file_for_an_address(
    tmp_path: Any, services: ChatServices
) -> None:
    (tmp_path / "secret.json").write_text('{"content": "from the file"}')
    address = f"discord://123456789012345678/abcdefghijklmnop?template={tmp_path}/secret.json"
    NotifyDiscord(**NotifyDiscord.parse_url(address)).notify(title="t", body="b")

    assert any("from the file" in body for _path, body in services.received)


def test_redirects_are_not_followed(services: ChatServices) -> None:
    services.status, services.headers = 302, {"Location": "https://discord.com/elsewhere"}

    assert chat.send("feishu://0123-secret-abcd", title="t", body="b")

    assert services.asked == ["open.feishu.cn:443"]


# --- Sending ----------------------------------------------------------------------------------


def test_a_message_arrives_with_title_and_text(services: ChatServices) -> None:
    error = chat.send("feishu://0123-secret-abcd", title="渠道已停用", body="充值即可")

    assert error == ""
    [(path, body)] = services.received
    assert path == "/open-apis/bot/v2/hook/0123-secret-abcd/"
    assert "渠道已停用" in body.encode().decode("unicode_escape", "ignore") or "渠道已停用" in body


def test_what_a_service_refuses_with_status_200_has_not_arrived(services: ChatServices) -> None:
    services.answer = '{"code": 19021, "msg": "sign match fail"}'

    assert chat.send("lark://0123-secret-abcd", title="t", body="b")


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What reaches the log of the product."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, root = Keep(), logging.getLogger()
    root.addHandler(handler)
    yield lines
    root.removeHandler(handler)


def test_why_it_was_not_taken_is_told_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    error = chat.send("lark://0123-secret-abcd", title="t", body="b")
    with pytest.raises(ValidationError):
        chat.canonical_address("feishu://0123.secret.abcd")

    assert "open.larksuite.com" in error
    assert "0123-secret-abcd" not in error
    assert not [line for line in logged if "secret" in line]


# --- Adding and removing ----------------------------------------------------------------------


def test_an_address_is_kept_encrypted_with_a_readable_hint() -> None:
    destination = add(FEISHU, actor=make_admin())

    row = AlertDestination.objects.values().get()
    assert (row["service"], row["address_hint"]) == ("feishu", "feishu://…abcd")
    assert "0123-secret" not in str(row)
    assert destination.get_address() == "feishu://0123-secret-abcd"


def test_adding_and_removing_are_audited_without_the_address() -> None:
    admin = make_admin()
    destination = add(FEISHU, actor=admin)
    destinations.remove_destination(actor=admin, destination=destination)
    destinations.remove_destination(actor=admin, destination=destination)

    events = AuditEvent.objects.filter(actor=admin).order_by("pk")
    assert list(events.values_list("action", "subject_name")) == [
        ("destination.created", "the robot"),
        ("destination.deleted", "the robot"),
    ]
    assert events[0].changes["service"] == {"old": None, "new": "feishu"}
    assert "secret" not in str([event.changes for event in events])
    assert not AlertDestination.objects.exists()


def test_everybody_has_their_own_and_only_operators_have_those_of_the_operators(
    services: ChatServices,
) -> None:
    ann, bob, admin = make_user(), make_user(), make_admin()
    own, common = add(FEISHU, owner=ann), add(FEISHU, actor=admin)

    for actor, destination in ((bob, own), (admin, own), (ann, common)):
        with pytest.raises(PermissionDeniedError):
            destinations.remove_destination(actor=actor, destination=destination)
        with pytest.raises(PermissionDeniedError):
            destinations.send_test(actor=actor, destination=destination, at=NOON)
    with pytest.raises(PermissionDeniedError):
        add(FEISHU, actor=ann)
    with pytest.raises(PermissionDeniedError):
        add(FEISHU, actor=bob, owner=ann)
    assert services.asked == []


def test_what_is_wrong_is_said_by_name() -> None:
    for fields, name in (
        ({"address": "nonsense"}, "address"),
        ({"name": ""}, "name"),
        ({"language": "tlh"}, "language"),
    ):
        with pytest.raises(ValidationError) as refused:
            add(**{"address": FEISHU, **fields}, actor=make_admin())
        assert list(refused.value.message_dict) == [name]


def test_there_are_at_most_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "MOST", 2)
    ann = make_user()
    for _number in range(2):
        add(FEISHU, owner=ann)

    with pytest.raises(destinations.TooManyDestinationsError):
        add(FEISHU, owner=ann)
    assert add(FEISHU, owner=make_user())


def test_a_test_arrives_in_the_language_of_who_added_it(services: ChatServices) -> None:
    admin = make_admin()
    User.objects.filter(pk=admin.pk).update(language="zh-hans")
    admin.refresh_from_db()
    destination = add(FEISHU, actor=admin)

    destinations.send_test(actor=admin, destination=destination, at=NOON)

    destination.refresh_from_db()
    assert (destination.language, destination.tested_at, destination.test_error) == ("zh-hans", NOON, "")
    assert len(services.received) == 1


def test_a_test_that_fails_says_why(services: ChatServices) -> None:
    services.status = 404
    destination = add(FEISHU, actor=make_admin())

    with pytest.raises(destinations.DestinationFailedError) as failed:
        destinations.send_test(actor=None, destination=destination, at=NOON)

    destination.refresh_from_db()
    assert destination.test_error
    assert destination.test_error in str(failed.value)


def test_an_address_under_a_lost_key_says_what_to_do() -> None:
    destination = add(FEISHU, actor=make_admin())
    destination.encrypted_address = "gone"

    with pytest.raises(destinations.DestinationFailedError, match="cannot be read any more"):
        destinations.send_test(actor=None, destination=destination, at=NOON)

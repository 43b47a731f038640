"""Every act that belongs into the audit log is there, with what changed and without a secret."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import AuditEvent, User
from accounts.services import access_tokens, site, users
from accounts.services.permissions import PermissionDeniedError
from accounts.services.users import EmailTakenError
from billing.models import Channel
from billing.services import channels, prices, tokens, webhooks
from redemption.models import RedemptionCode
from redemption.services import batches, codes, sealed
from tests.factories import (
    NOON,
    codes_in_clear,
    make_admin,
    make_batch,
    make_channel,
    make_root,
    make_token,
    make_user,
    make_webhook,
)

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = ("display_name", "email", "role", "group", "status")


@pytest.fixture
def root(transactional_db: None) -> User:
    return make_root()


@pytest.fixture
def person(transactional_db: None) -> User:
    return make_user(username="ann", email="ann@example.com")


def update(actor: User, person: User, **fields: Any) -> None:
    details = {name: getattr(person, name) for name in DETAILS}
    users.update_user(actor=actor, user=person, **{**details, **fields})


def acts(actor: User | None = None) -> list[tuple[str, str, dict[str, Any]]]:
    """Action, subject and changes of what somebody did, oldest first; changes as (old, new)."""
    return [
        (
            event.action,
            event.subject_name,
            {name: (change["old"], change["new"]) for name, change in event.changes.items()},
        )
        for event in AuditEvent.objects.filter(actor=actor).order_by("pk")
    ]


def test_people_are_created_changed_and_deleted(root: User) -> None:
    person = users.create_user(
        actor=root, username="bo", password="a long pass phrase", email="bo@example.com", group="vip"
    )
    update(root, person, email="new@example.com", display_name="Bo")
    person.refresh_from_db()
    update(root, person, role="admin", group="default")
    person.refresh_from_db()
    update(root, person, status="disabled")
    users.set_password(actor=root, user=person, password="another pass phrase")
    person.refresh_from_db()
    update(root, person, status="deleted")
    update(root, User.objects.get(pk=root.pk))

    assert acts(root) == [
        (
            "user.created",
            "bo",
            {"email": (None, "bo@example.com"), "role": (None, "user"), "group": (None, "vip")},
        ),
        (
            "user.updated",
            "bo",
            {"email": ("bo@example.com", "new@example.com"), "display_name": (None, "Bo")},
        ),
        ("user.updated", "bo", {"group": ("vip", "default")}),
        ("user.role_changed", "bo", {"role": ("user", "admin")}),
        ("user.status_changed", "bo", {"status": ("enabled", "disabled")}),
        ("user.password_set", "bo", {}),
        ("user.deleted", "bo", {"status": ("disabled", "deleted")}),
    ]


def test_people_who_sign_up_are_their_own_actors(root: User, client: Client) -> None:
    site.set_signup_open(actor=root, is_open=True)
    entered = {"username": "cy", "email": "cy@example.com"}
    client.post("/accounts/signup/", {**entered, **dict.fromkeys(("password1", "password2"), "Xk9-qqfw-Zu")})

    assert acts(root) == [("site.updated", "settings", {"is_signup_open": (False, True)})]
    assert acts(User.objects.get(username="cy")) == [
        ("user.signed_up", "cy", {"email": (None, "cy@example.com"), "role": (None, "user"), "group": (None, "default")})
    ]  # fmt: skip


@pytest.mark.parametrize("is_ones_own", [True, False])
def test_access_tokens_are_audited_whosever_they_are(root: User, person: User, is_ones_own: bool) -> None:
    actor = person if is_ones_own else root
    token, _key = access_tokens.create_access_token(
        actor=actor, user=person, name="a program", scopes=["tokens", "read"], expires_at=NOON
    )
    access_tokens.rotate_access_token(actor=actor, token=token, grace=timedelta(hours=1), at=NOON)
    access_tokens.revoke_access_token(actor=actor, token=token)
    access_tokens.revoke_access_token(actor=actor, token=token)

    made = {"scopes": (None, ["read", "tokens"]), "expires_at": (None, "2026-03-02T12:00:00Z")}
    assert acts(actor) == [
        ("access_token.created", "a program", made),
        ("access_token.rotated", "a program", {}),
        ("access_token.revoked", "a program", {}),
    ]
    assert set(AuditEvent.objects.filter(actor=actor).values_list("user", flat=True)) == {person.pk}


def use_a_token(actor: User, owner: User) -> None:
    token, _key = tokens.create_token(actor=actor, user=owner, name="plug-in", quota_limit=0)
    settings = {"expires_at": None, "allowed_networks": []}
    tokens.update_token(
        actor=actor, token=token, name="plug-in", quota_limit=500, allowed_models=["m"], **settings
    )
    tokens.update_token(
        actor=actor, token=token, name="plug-in", quota_limit=500, allowed_models=["m"], **settings
    )
    tokens.set_token_status(actor=actor, token=token, is_enabled=False)
    tokens.set_token_status(actor=actor, token=token, is_enabled=False)
    tokens.rotate_token(actor=actor, token=token)
    tokens.delete_token(actor=actor, token=token)
    tokens.delete_token(actor=actor, token=token)


def test_what_operators_do_to_the_tokens_of_others_is_audited(root: User, person: User) -> None:
    use_a_token(root, person)

    assert acts(root) == [
        ("token.created", "plug-in", {"name": (None, "plug-in"), "quota_limit": (None, 0)}),
        ("token.updated", "plug-in", {"allowed_models": (None, ["m"]), "quota_limit": (0, 500)}),
        ("token.status_changed", "plug-in", {"status": ("enabled", "disabled")}),
        ("token.rotated", "plug-in", {}),
        ("token.deleted", "plug-in", {}),
    ]


def test_what_people_do_to_their_own_tokens_is_not(person: User) -> None:
    use_a_token(person, person)

    assert acts(person) == []


def test_channels_are_audited_with_whether_the_key_was_replaced(root: User) -> None:
    details = {"name": "upstream", "base_url": "https://api.example.com", "models": ["m"]}
    channel = channels.create_channel(
        actor=root, settings=channels.ChannelSettings(**details), key="sk-first-upstream-key"
    )
    changed = channels.ChannelSettings(
        **{**details, "models": ["m", "n"], "cost_multiplier": Decimal("0.80")}
    )
    channels.update_channel(actor=root, channel=channel, settings=changed, key="sk-other-upstream-key")
    channels.update_channel(actor=root, channel=Channel.objects.get(), settings=changed)
    channels.set_channel_status(actor=root, channel=channel, is_enabled=False)
    channels.set_channel_status(actor=root, channel=channel, is_enabled=False)
    channels.delete_channel(actor=root, channel=channel)

    [created, *rest] = acts(root)
    assert created[:2] == ("channel.created", "upstream")
    assert (created[2]["base_url"], created[2]["weight"]) == ((None, "https://api.example.com"), (None, 1))
    assert rest == [
        (
            "channel.updated",
            "upstream",
            {"models": (["m"], ["m", "n"]), "cost_multiplier": ("1", "0.8"), "key_replaced": (False, True)},
        ),
        ("channel.status_changed", "upstream", {"status": ("enabled", "manually_disabled")}),
        ("channel.deleted", "upstream", {}),
    ]


def test_prices_are_audited_with_the_price_before(root: User) -> None:
    for dollars in ("1.50", "2"):
        prices.set_model_price(actor=root, model="a-model", request_price=Decimal(dollars), at=NOON)
    prices.withdraw_model_price(actor=root, model="a-model", at=NOON)
    for multiplier in ("1.5", "0.5"):
        prices.set_group_multiplier(actor=root, group="vip", multiplier=Decimal(multiplier), at=NOON)

    assert acts(root) == [
        ("model_price.set", "a-model", {"request_price": (None, "1.5")}),
        ("model_price.set", "a-model", {"request_price": ("1.5", "2")}),
        ("model_price.withdrawn", "a-model", {}),
        ("group_price.set", "vip", {"multiplier": (None, "1.5")}),
        ("group_price.set", "vip", {"multiplier": ("1.5", "0.5")}),
    ]


def test_webhooks_are_audited_with_the_host_of_their_address(root: User) -> None:
    settings = {"name": "shop", "url": "https://shop.example.com/in?token=first", "events": ["topup.created"]}
    webhook, _secret = webhooks.create_webhook(
        actor=root, settings=webhooks.WebhookSettings(**settings), at=NOON
    )
    moved = {**settings, "url": "https://shop.example.com/in?token=second"}
    webhooks.update_webhook(actor=root, webhook=webhook, settings=webhooks.WebhookSettings(**moved))
    webhooks.update_webhook(actor=root, webhook=webhook, settings=webhooks.WebhookSettings(**moved))
    webhooks.set_webhook_status(actor=root, webhook=webhook, is_enabled=False)
    webhooks.set_webhook_status(actor=root, webhook=webhook, is_enabled=False)
    webhooks.rotate_secret(actor=root, webhook=webhook)
    webhooks.delete_webhook(actor=root, webhook=webhook)

    made = {
        "name": (None, "shop"),
        "host": (None, "https://shop.example.com"),
        "events": (None, ["topup.created"]),
    }
    assert acts(root) == [
        ("webhook.created", "shop", made),
        ("webhook.updated", "shop", {"url_replaced": (False, True)}),
        ("webhook.status_changed", "shop", {"is_enabled": (True, False)}),
        ("webhook.secret_rotated", "shop", {}),
        ("webhook.deleted", "shop", {}),
    ]


def test_single_codes_are_audited_when_they_are_disabled_and_enabled(root: User) -> None:
    make_batch(count=1)
    code = RedemptionCode.objects.get()
    for is_enabled in (False, False, True):
        codes.set_code_status(actor=root, code=code, is_enabled=is_enabled)

    assert acts(root) == [
        ("code.status_changed", f"…{code.hint}", {"status": ("enabled", "disabled")}),
        ("code.status_changed", f"…{code.hint}", {"status": ("disabled", "enabled")}),
    ]


def test_batches_of_codes_are_audited_from_their_making_to_their_end(root: User) -> None:
    batch = make_batch(root, count=1, tag="fair", valid_until=NOON + timedelta(1), uses_per_code=2)
    for _ in range(2):
        sealed.open_codes(actor=root, batch=batch, how="csv", at=NOON)
    for _ in range(2):
        sealed.forget_codes(actor=root, batch=batch)
    for is_enabled in (False, False, True):
        batches.set_batch_status(actor=root, batch=batch, is_enabled=is_enabled)
    batches.revoke_batch(actor=root, batch=batch)

    created, *rest = acts(root)
    assert created[:2] == ("code_batch.created", "spring")
    assert {
        "quota": (None, 500),
        "count": (None, 1),
        "tag": (None, "fair"),
        "valid_until": (None, "2026-03-03T12:00:00Z"),
        "uses_per_code": (None, 2),
    }.items() <= created[2].items()
    assert rest == [
        ("code_batch.downloaded", "spring", {"format": (None, "csv")}),
        ("code_batch.downloaded", "spring", {"format": (None, "csv")}),
        ("code_batch.forgotten", "spring", {}),
        ("code_batch.status_changed", "spring", {"status": ("ready", "disabled")}),
        ("code_batch.status_changed", "spring", {"status": ("disabled", "ready")}),
        ("code_batch.revoked", "spring", {"status": ("ready", "revoked")}),
    ]


def test_batches_whose_codes_are_not_made_are_audited_when_they_are_tried_again_and_cancelled(
    root: User,
) -> None:
    terms = batches.BatchTerms(name="spring", quota=5, count=1)
    batch = batches.create_batch(actor=root, terms=terms, at=NOON)
    batches.fail_batch(batch_id=batch.pk, reason="x")
    batches.retry_batch(actor=root, batch=batch)
    batches.cancel_batch(actor=root, batch=batch)
    with pytest.raises(batches.BatchStateError):
        batches.cancel_batch(actor=root, batch=batch)

    assert acts(root)[1:] == [
        ("code_batch.retried", "spring", {"status": ("failed", "creating")}),
        ("code_batch.cancelled", "spring", {"status": ("creating", "cancelled")}),
    ]


def test_an_act_that_is_refused_leaves_no_event(root: User, person: User) -> None:
    admin = make_admin()
    before = AuditEvent.objects.count()

    with pytest.raises(EmailTakenError):
        update(root, person, email=admin.email)
    with pytest.raises(PermissionDeniedError):
        update(admin, root, group="x")

    assert AuditEvent.objects.count() == before


def test_no_secret_is_in_the_log(root: User, person: User) -> None:
    """Everything that is shown once or never, made and replaced; then the whole table is searched."""
    secrets = ["a long pass phrase", "another pass phrase", "sk-upstream-secret-0001", "sk-upstream-secret-2"]
    users.set_password(actor=root, user=person, password="another pass phrase")
    secrets.append(person.password)
    made = make_token(person)
    token, key = tokens.create_token(actor=root, user=person, name="plug-in")
    secrets += [made.key[3:], key[3:], token.key_hash, tokens.rotate_token(actor=root, token=token)[3:]]
    access_token, key = access_tokens.create_access_token(
        actor=root, user=person, name="a program", scopes=["read"]
    )
    secrets += [key[3:], access_token.key_hash]
    secrets.append(
        access_tokens.rotate_access_token(actor=root, token=access_token, grace=timedelta(1), at=NOON)[3:]
    )
    channel = make_channel()
    settings = channels.ChannelSettings(name="upstream", base_url=channel.base_url, models=["m"])
    channels.update_channel(actor=root, channel=channel, settings=settings, key="sk-upstream-secret-2")
    secrets.append(channel.encrypted_key)
    hook = make_webhook("http://127.0.0.1:9/hooks?token=of-the-receiver")
    secrets += [hook.secret, "of-the-receiver", webhooks.rotate_secret(actor=root, webhook=hook.webhook)]
    in_clear = codes_in_clear(make_batch(root))
    secrets += [*in_clear, *(code.replace("-", "") for code in in_clear)]
    secrets += [bytes(code.digest).hex() for code in RedemptionCode.objects.all()]

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_auditevent")
        written = str(cursor.fetchall())

    assert "a program" in written
    assert [secret for secret in secrets if secret in written] == []

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import AccessToken, Token, User
from accounts.services.access_tokens import create_access_token
from billing.models import Channel, LedgerEntry, QuotaAccount
from redemption.models import RedemptionCode
from tests.factories import NOON, make_batch, make_channel, make_snapshot, make_token

OURS = [
    model for model in admin.site._registry if model._meta.app_label in {"accounts", "billing", "redemption"}
]


@pytest.fixture
def secrets(root: User, person: User) -> dict[type[Any], list[str]]:
    """What no page may show, by the table that holds it."""
    make_token(person)
    create_access_token(actor=None, scopes=["read"], user=person, name="a script")
    make_snapshot(channel=make_channel(), kind="balance", created_at=NOON)
    make_batch(root, count=1)
    return {
        User: [person.password],
        Token: [Token.objects.get().key_hash],
        AccessToken: [AccessToken.objects.get().key_hash],
        Channel: [Channel.objects.get().encrypted_key, "sk-upstream-secret-0001"],
        RedemptionCode: [bytes(RedemptionCode.objects.get().digest).hex()],
    }


@pytest.mark.parametrize("model", OURS)
def test_no_table_can_be_added_to(model: type[Any], root_client: Client) -> None:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")

    assert root_client.get(url).status_code == 403
    assert root_client.post(url, {}).status_code == 403


@pytest.mark.parametrize("model", [User, QuotaAccount, LedgerEntry, Channel, RedemptionCode])
def test_rows_are_shown_without_secrets_and_cannot_be_changed_or_deleted(
    model: type[Any], root_client: Client, secrets: dict[type[Any], list[str]]
) -> None:
    name, pk = f"admin:{model._meta.app_label}_{model._meta.model_name}", model.objects.latest("pk").pk

    pages = [
        root_client.get(reverse(f"{name}_changelist")),
        root_client.get(reverse(f"{name}_change", args=[pk])),
    ]

    assert [page.status_code for page in pages] == [200, 200]
    assert not any(secret in page.content.decode() for page in pages for secret in secrets.get(model, []))
    assert root_client.post(reverse(f"{name}_change", args=[pk]), {}).status_code == 403
    assert root_client.post(reverse(f"{name}_delete", args=[pk]), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", [Token, AccessToken])
def test_keys_are_shown_by_their_prefix_only(
    model: type[Any], root_client: Client, secrets: dict[type[Any], list[str]]
) -> None:
    row = model.objects.get()

    content = root_client.get(
        reverse(f"admin:accounts_{model._meta.model_name}_change", args=[row.pk])
    ).content.decode()

    assert row.key_prefix in content
    assert secrets[model][0] not in content


def test_an_administrator_does_not_get_in(admin_client: Client) -> None:
    assert admin_client.get(reverse("admin:index")).status_code == 302

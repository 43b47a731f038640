"""Every way that the page frame offers leads somewhere."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.factories import make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)
SIDEBAR = Path(settings.BASE_DIR) / "templates" / "components" / "_sidebar.html"
PLANNED = {
    "portal:doctor",
    "portal:calculator",
    "ops:usage",
    "ops:jobs",
}
"""Sections that the sidebar knows and leaves out until they are installed."""


def resolves(name: str) -> bool:
    try:
        reverse(name)
    except NoReverseMatch:
        return False
    return True


def links_of(client: Client, page: str) -> set[str]:
    answer = client.get(page)
    assert answer.status_code == 200
    return set(re.findall(r'<a [^>]*href="(/[^"#?]*)', answer.content.decode()))


def test_every_section_of_the_sidebar_is_installed_or_planned() -> None:
    names = re.findall(r'{% nav_item "([a-z-]+:[a-z-]+)"', SIDEBAR.read_text(encoding="utf-8"))

    assert len(names) > 12
    assert {name for name in names if not resolves(name)} <= PLANNED


@pytest.mark.parametrize("start", ["/", "/ops/"])
def test_every_link_of_the_frame_opens_for_root(start: str) -> None:
    client = Client()
    client.force_login(make_root())

    links = links_of(client, start)

    assert {"/tokens/", "/ops/users/", "/ops/ledger/"} <= links
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_an_ordinary_user_is_offered_no_operators_page() -> None:
    client = Client()
    client.force_login(make_user())

    links = links_of(client, "/")

    assert not [link for link in links if link.startswith("/ops/")]
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import DjangoAssertNumQueries
from pytest_django.live_server_helper import LiveServer

from accounts.models import AuditEvent, User
from accounts.services import access_tokens, audit, site, users
from billing.services import channels, prices
from tests.factories import NOON, make_admin, make_channel, make_root, make_user
from tests.support.looks import LOOKS

URL = "/ops/audit/"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


def listed(client: Client, **query: Any) -> list[str]:
    return [f"{row.event.action} {row.event.subject_name}" for row in client.get(URL, query).context["rows"]]


def set_password(actor: User, person: User) -> None:
    users.set_password(actor=actor, user=person, password="another pass phrase")


@pytest.fixture
def ann(db: None) -> User:
    return make_user(username="ann")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the time at which events are written."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(audit.timezone, "now", lambda: moment)

    return set_to


def test_root_sees_everything_newest_first(root_client: Client, root: User, ann: User) -> None:
    other = make_root()
    set_password(root, other)
    set_password(root, ann)

    assert listed(root_client) == [
        "user.password_set ann",
        f"user.password_set {other.username}",
        f"user.created {other.username}",
        "user.created ann",
        f"user.created {root.username}",
    ]


def test_an_administrator_sees_nothing_of_root_but_the_role(admin_client: Client, ann: User) -> None:
    hidden = make_root(username="the-hidden-root")
    set_password(hidden, ann)
    set_password(hidden, hidden)
    site.set_signup_open(actor=hidden, is_open=True)

    content = admin_client.get(URL).content.decode()

    assert listed(admin_client) == ["site.updated settings", "user.password_set ann", "user.created ann"]
    assert "the-hidden-root" not in content
    assert content.count("Root") >= 2


def test_an_administrator_sees_neither_where_root_acts_from_nor_in_which_request(
    admin_client: Client, signed_in: Callable[[User], Client]
) -> None:
    answer = signed_in(make_root()).post("/ops/users/sign-up/", {"is_signup_open": "on"})
    written = AuditEvent.objects.latest("pk")

    content = admin_client.get(URL).content.decode()

    assert (written.address, written.request_id) == ("127.0.0.1", answer.headers["X-Oneapi-Request-Id"])
    assert written.request_id not in content
    assert "127.0.0.1" not in content


def test_an_administrator_cannot_find_root_out_by_asking_who_did_it(admin_client: Client, ann: User) -> None:
    hidden = make_root(username="the-hidden-root")
    set_password(hidden, ann)

    for wanted in (hidden.username, hidden.pk):
        assert listed(admin_client, actor=wanted) == listed(admin_client, user=wanted) == []


def test_events_are_filtered_by_actor_person_action_and_subject(
    root_client: Client, root: User, ann: User
) -> None:
    admin = make_admin(username="abe")
    set_password(admin, ann)
    access_tokens.create_access_token(actor=root, user=ann, name="a program", scopes=["read"])
    channel = make_channel(name="upstream")
    channels.delete_channel(actor=admin, channel=channel)

    assert listed(root_client, actor="ABE") == listed(root_client, actor=str(admin.pk))
    assert listed(root_client, actor="abe") == ["channel.deleted upstream", "user.password_set ann"]
    assert listed(root_client, user="ann") == [
        "access_token.created a program",
        "user.password_set ann",
        "user.created ann",
    ]
    assert listed(root_client, user="ann", actor="root") == []
    assert listed(root_client, action="user.password_set") == ["user.password_set ann"]
    assert listed(root_client, subject="user", number=ann.pk) == ["user.password_set ann", "user.created ann"]
    assert listed(root_client, subject="channel") == ["channel.deleted upstream", "channel.created upstream"]


def test_the_event_of_a_key_leads_to_whose_it_is(root_client: Client, root: User, ann: User) -> None:
    access_tokens.create_access_token(actor=root, user=ann, name="a program", scopes=["read"])

    content = root_client.get(URL, {"action": "access_token.created"}).content.decode()

    assert f'<a href="{URL}?user={ann.pk}">ann</a>' in content


def test_events_are_filtered_by_whole_days(
    root_client: Client, root: User, clock: Callable[[datetime], None]
) -> None:
    for day, name in enumerate(("bea", "bob", "bud")):
        clock(datetime(2026, 3, 1 + day, 23, 59, 59, tzinfo=UTC))
        make_user(username=name)

    assert listed(root_client, since="2026-03-02", until="2026-03-02") == ["user.created bob"]
    assert listed(root_client, until="2026-03-02") == ["user.created bob", "user.created bea"]
    assert listed(root_client, since="2026-03-03", until="2026-03-04") == ["user.created bud"]


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"action": "user.seen"}, {"number": "x"}])
def test_a_filter_that_cannot_be_read_shows_the_reason_and_no_events(
    query: dict[str, str], root_client: Client
) -> None:
    answer = root_client.get(URL, query)

    assert answer.context["rows"] == []
    assert 'class="note state-danger"' in answer.content.decode()


def test_changes_are_told_in_the_readers_language(root: User, root_client: Client, ann: User) -> None:
    details = {name: getattr(ann, name) for name in ("display_name", "email", "status")}
    users.update_user(actor=root, user=ann, role="admin", group="vip", **details)
    prices.set_group_multiplier(actor=root, group="vip", multiplier=Decimal("1.5"), at=NOON)

    english = root_client.get(URL).content.decode()
    chinese = root_client.get(URL, headers={"Accept-Language": "zh-hans"}).content.decode()

    assert "role: User → Administrator" in english
    assert "group: default → vip" in english
    assert "multiplier: 1.5" in english
    assert "角色：" in chinese or "角色:" in chinese
    assert "用户 → 管理员" in chinese


def test_the_list_goes_on_page_by_page(root_client: Client, root: User, ann: User) -> None:
    for _ in range(50):
        set_password(root, ann)
    first = root_client.get(URL).context["page"]

    assert len(first.items) == 50
    assert listed(root_client, cursor=first.next_cursor) == [
        "user.created ann",
        f"user.created {root.username}",
    ]


def test_a_persons_page_leads_to_what_was_done_to_them(admin_client: Client, ann: User) -> None:
    content = admin_client.get(f"/ops/users/{ann.pk}/").content.decode()

    assert f'href="{URL}?user={ann.pk}"' in content


@pytest.mark.parametrize("query", [{}, {"actor": "ann"}, {"user": "ann"}])
def test_the_list_costs_the_same_number_of_queries_however_long(
    query: dict[str, str],
    root_client: Client,
    root: User,
    ann: User,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    def open_list() -> None:
        with django_assert_num_queries(3 + len(query)):
            root_client.get(URL, query)

    set_password(ann_as_root := make_root(username="bo"), ann)
    open_list()
    for _ in range(6):
        set_password(ann_as_root, make_user())
    open_list()


# --- In the browser ---------------------------------------------------------------------------


@pytest.fixture
def view(
    page: Page, context: BrowserContext, live_server: LiveServer, transactional_db: None
) -> Iterator[Page]:
    """A page of a signed-in administrator; afterwards nothing may have been blocked or have failed in it."""
    client = Client()
    admin = make_admin(username="abe")
    client.force_login(admin)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_log_is_found_in_the_menu_and_narrowed(view: Page, live_server: LiveServer) -> None:
    admin, person = User.objects.get(username="abe"), make_user(username="ann")
    set_password(admin, person)
    view.goto(f"{live_server.url}/ops/")
    view.get_by_role("link", name="Audit log").click()
    rows = view.locator("#list tbody tr")
    expect(rows).to_have_count(2)

    view.get_by_role("searchbox").fill("abe")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Password set")
    view.get_by_role("searchbox").fill("")
    view.get_by_label("Action").select_option("user.created")

    expect(rows).to_contain_text("the system")
    view.get_by_label("About whom").fill("nobody")
    view.get_by_label("About whom").press("Enter")
    expect(view.get_by_text("No event matches")).to_be_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, width: int, scheme: str, language: str
) -> None:
    admin = User.objects.get(username="abe")
    users.set_language(user=admin, language=language)
    make_user(username="a" * 64, email=f"{'e' * 60}@{'d' * 60}.example.com")
    models = [f"a-model-with-a-rather-long-name-{number}" for number in range(40)]
    make_channel(name="The upstream account with the long name", models=models, model_mapping={"m": "n"})
    site.set_signup_open(actor=admin, is_open=True)
    access_tokens.create_access_token(
        actor=admin, user=admin, name="x", scopes=["read"], expires_at=timezone.now() + timedelta(1)
    )
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})

    for query in ("", "?actor=nobody", "?since=yesterday"):
        view.goto(f"{live_server.url}{URL}{query}")
        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(query, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, query

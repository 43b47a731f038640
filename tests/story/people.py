"""What people do in a browser, in their own words."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from playwright.sync_api import Browser, Page, expect


class Person:
    """Somebody with a browser of their own; nothing may be blocked or fail in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    @classmethod
    @contextmanager
    def in_a_browser(cls, browser: Browser, url: str) -> Iterator["Person"]:
        complaints: list[str] = []
        with browser.new_context(locale="en-US") as context:
            page = context.new_page()
            page.on(
                "console",
                lambda message: complaints.append(message.text) if message.type == "error" else None,
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
            yield cls(page, url)
        assert complaints == []

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, name: str, password: str) -> None:
        page = self.open("/accounts/login/")
        page.locator("[name=login]").fill(name)
        page.locator("[name=password]").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(lambda url: "/accounts/login/" not in url)

    def creates_user(self, name: str, password: str, *, dollars: str) -> None:
        page = self.open("/ops/users/")
        page.get_by_role("link", name="New user").click()
        panel = page.locator("#slideover")
        panel.get_by_label("User name").fill(name)
        panel.locator("[name=password]").fill(password)
        panel.get_by_label("First quota").fill(dollars)
        panel.get_by_role("button", name="Create user").click()
        expect(page.get_by_role("row").filter(has_text=name)).to_be_visible()

    def tops_up(self, name: str, *, dollars: str) -> None:
        page = self.open(f"/ops/users/?q={name}")
        row = page.get_by_role("row").filter(has_text=name)
        row.get_by_role("link", name=f"Top up {name}").click()
        panel = page.locator("#slideover")
        panel.locator("[name=amount]").fill(dollars)
        panel.get_by_role("button", name="Top up").click()
        expect(page.locator("#toasts")).to_contain_text(name)

    def refreshes_the_balance_of(self, channel: str) -> None:
        page = self.open("/ops/channels/")
        row = page.get_by_role("row").filter(has_text=channel)
        row.get_by_role("button", name=f"Actions for {channel}").click()
        row.get_by_role("button", name="Refresh balance").click()
        expect(page.locator("#toasts")).to_contain_text(channel)

    def makes_a_code(self, *, dollars: str) -> str:
        page = self.open("/ops/codes/")
        page.get_by_role("link", name="New codes").first.click()
        panel = page.locator("#slideover")
        panel.get_by_label("Name").fill("For the story")
        panel.locator("[name=amount]").fill(dollars)
        panel.locator("[name=count]").fill("1")
        panel.get_by_role("button", name="Make codes").click()
        page.get_by_role("button", name="Show the codes").click()
        return panel.locator("#shown-codes").input_value().strip()

    def makes_a_token(self, name: str, *, limit: str = "") -> str:
        """Returns the key. Without a limit the token is unlimited and never expires."""
        page = self.open("/tokens/")
        page.get_by_role("link", name="New token").first.click()
        panel = page.locator("#slideover")
        panel.get_by_label("Name").fill(name)
        panel.locator(f"[name=limit_kind][value={'amount' if limit else 'none'}]").check()
        panel.locator("[name=quota_limit]").fill(limit, force=True)
        panel.get_by_role("button", name="Create token").click()
        return panel.locator("#new-key").input_value()

    def redeems(self, code: str) -> None:
        page = self.open("/")
        page.locator("#redeem-box [name=code]").fill(code.lower())
        page.locator("#redeem-box button").click()
        expect(page.locator("#redeem-box")).to_contain_text("was added")

    def amounts_of_the_statement(self) -> list[Decimal]:
        """Every movement, newest first, in dollars."""
        page = self.open("/statement/")
        expect(page.get_by_text("add up to your balance")).to_be_visible()
        shown = page.locator("#list tbody td:nth-child(4)").all_inner_texts()
        return [Decimal(text.strip().replace("−", "-").replace("$", "").replace(",", "")) for text in shown]

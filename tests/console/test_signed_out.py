"""What every page's request goes through."""

import pytest
from django.test import Client

from accounts.models import SiteSettings


def test_the_id_in_the_answer_is_the_one_in_the_log_and_never_the_callers(
    db: None, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/nothing-here/", headers={"X-Request-Id": "forged"})

    [logged] = [r.msg["request_id"] for r in caplog.records if "request_finished" in str(r.msg)]
    assert logged == answer.headers["X-Oneapi-Request-Id"] != "forged"


def test_a_fragment_that_finds_the_session_gone_sends_the_whole_page_to_the_login(db, client: Client) -> None:
    answer = client.get("/tokens/", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/accounts/login/")


def test_visitors_read_in_the_language_of_their_browser(db, client: Client) -> None:
    chinese = client.get("/accounts/login/", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    other = client.get("/accounts/login/", headers={"Accept-Language": "fr"})

    assert chinese.headers["Content-Language"] == "zh-hans"
    assert "登录" in chinese.content.decode()
    assert other.headers["Content-Language"] == "en"


def test_an_account_is_offered_only_while_sign_up_is_open(db: None, client: Client) -> None:
    closed = client.get("/accounts/login/").content.decode()
    SiteSettings.objects.update(is_signup_open=True)
    opened = client.get("/accounts/login/").content.decode()

    assert "/accounts/signup/" not in closed
    assert "/accounts/signup/" in opened

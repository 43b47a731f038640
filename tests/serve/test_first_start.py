"""What the first start makes, what later starts leave alone, and what is refused."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from oneapi_admin.lib.secrets import key_digest
from oneapi_admin.sandbox_channel import MODELS
from tests.serve.installation import ROOT, Installation

KEY = "k" * 48
WHO = "from accounts.models import *; from billing.models import *; "


def password_of(output: str) -> str:
    found = re.search(r"password +(\S+)", output)
    assert found, output
    return found[1]


def test_the_first_start_makes_root_and_shows_the_password_once(
    first_start: tuple[Installation, str],
) -> None:
    installation, output = first_start
    password = password_of(output)

    again = installation.manage("bootstrap")

    assert "root" in output
    assert again.returncode == 0
    assert again.stdout == ""
    assert password not in again.stderr
    [(encoded,)] = installation.rows(
        "SELECT password FROM accounts_user WHERE username = 'root' AND role = 'root'"
    )
    assert PBKDF2PasswordHasher().verify(password, encoded)
    for path in installation.data_dir.glob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes()


def test_nobody_else_can_read_what_the_first_start_wrote(first_start: tuple[Installation, str]) -> None:
    installation, _output = first_start

    open_to_others = [path.name for path in installation.data_dir.iterdir() if path.stat().st_mode & 0o077]

    assert open_to_others == []


def test_the_first_start_makes_the_usual_alert_rules_and_a_later_one_none(
    installation: Installation,
) -> None:
    wanted = "SELECT kind FROM billing_alertrule WHERE owner_id IS NULL AND is_enabled"
    first = installation.rows(wanted)
    installation.shell(WHO + "AlertRule.objects.all().delete()")

    installation.manage("bootstrap")

    assert ("channel_disabled",) in first
    assert ("audit_failed",) in first
    assert installation.rows(wanted) == []


def test_the_first_start_makes_the_sandbox_channel_with_priced_models(
    first_start: tuple[Installation, str],
) -> None:
    installation, _output = first_start
    port = (installation.data_dir / "sandbox_port").read_text().strip()

    facts = installation.shell(
        WHO + "c = Channel.objects.get(); print(c.is_sandbox, c.base_url, c.get_key(), c.groups);"
        "print(sorted(c.models) == sorted(set(ModelPrice.objects.values_list('model', flat=True))));"
        "p = ModelPrice.objects.get(model='sandbox-echo');"
        "print(p.input_price, p.cached_input_price, p.output_price, p.max_output_tokens)"
    )

    key = (installation.data_dir / "sandbox_key").read_text()
    assert facts.splitlines() == [
        f"True http://127.0.0.1:{port} {key} ['default']",
        "True",
        "1.000000 0.250000 2.000000 4096",
    ]


def test_the_channel_has_all_models_that_the_sandbox_has() -> None:
    code = "import sandbox.behaviours as b; print(*b.BEHAVIOURS)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert sorted(MODELS) == sorted(found.stdout.split())


def test_a_deleted_sandbox_channel_stays_away(installation: Installation) -> None:
    installation.rows("DELETE FROM billing_channeltotals")
    installation.rows("DELETE FROM billing_channel")

    installation.manage("bootstrap")

    assert installation.rows("SELECT * FROM billing_channel") == []


def test_secrets_of_the_first_start_come_from_the_environment_and_from_files(
    unstarted: Installation, tmp_path: Path
) -> None:
    password, token, access_token = "a pass phrase of ours", f"sk-{KEY}", "a" * 32
    token_file, password_file = tmp_path / "token", tmp_path / "password"
    token_file.write_text(f"{token}\n")
    password_file.write_text(f"{password}\n")

    done = unstarted.manage(
        "bootstrap",
        ROOT_USERNAME="boss",
        ROOT_PASSWORD_FILE=str(password_file),
        INITIAL_ROOT_TOKEN_FILE=str(token_file),
        INITIAL_ROOT_ACCESS_TOKEN=access_token,
    )

    assert done.returncode == 0, done.stderr
    assert "boss" in done.stdout
    assert not {password, KEY, access_token} & set(re.split(r"\s", done.stdout + done.stderr))
    [(username, role, encoded)] = unstarted.rows("SELECT username, role, password FROM accounts_user")
    assert (username, role) == ("boss", "root")
    assert PBKDF2PasswordHasher().verify(password, encoded)
    made = "SELECT name, key_hash, quota_limit FROM accounts_token JOIN billing_tokenquota ON token_id = id"
    assert unstarted.rows(made) == [("initial", key_digest(KEY), None)]
    assert unstarted.rows("SELECT key_hash FROM accounts_accesstoken") == [(key_digest(access_token),)]


def test_secrets_of_the_first_start_mean_nothing_later(installation: Installation) -> None:
    before = installation.rows("SELECT password FROM accounts_user")

    done = installation.manage("bootstrap", ROOT_PASSWORD="another", INITIAL_ROOT_TOKEN="malformed")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert installation.rows("SELECT password FROM accounts_user") == before
    assert installation.rows("SELECT * FROM accounts_token") == []


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"INITIAL_ROOT_TOKEN": "sk-short"}, "INITIAL_ROOT_TOKEN must be 48 letters and digits"),
        ({"INITIAL_ROOT_ACCESS_TOKEN": "too short"}, "INITIAL_ROOT_ACCESS_TOKEN must be 16 to 128"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is shorter than 32 characters"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    unstarted: Installation, environment: dict[str, str], message: str
) -> None:
    done = unstarted.manage("bootstrap", **environment)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_is_none_is_refused_and_the_first_start_can_be_repeated(
    refused_start: tuple[Installation, str], first_start: tuple[Installation, str]
) -> None:
    _unstarted, complaint = refused_start
    installation, _output = first_start

    assert complaint.startswith("CommandError: ROOT_USERNAME “not a name”: Use letters")
    assert len(installation.rows("SELECT * FROM accounts_user")) == 1
    assert len(installation.rows("SELECT * FROM billing_channel")) == 1

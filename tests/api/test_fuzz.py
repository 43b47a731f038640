"""A fuzzer reads the API's document and tries to prove it wrong, as everybody who can ask.

Every answer has to be one that the document declares, in status, headers and body; what the document allows
has to be taken, what it forbids refused; nothing may break; and afterwards the ledger has to add up.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import AccessToken, User
from accounts.services.access_tokens import create_access_token
from billing.services.audit import audit_ledger
from tests.factories import make_admin, make_channel, make_root, make_token, make_user
from tests.support.processes import ROOT, WebProcess, web_processes

pytestmark = pytest.mark.django_db(transaction=True)
CONFIG = Path(__file__).with_name("schemathesis.toml")
SEED = os.environ.get("FUZZ_SEED", "1")
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "1")
"""Random cases an operation, and chains of operations."""
PHASES = os.environ.get("FUZZ_PHASES", "examples,fuzzing,stateful")
"""``coverage`` tries every rule of every field as well, in some three thousand cases; it takes minutes."""
OUT_OF_REACH = 2**52
"""Where the fuzzer does not look for the access token that it uses itself."""


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    limits = {"API_REQUESTS_PER_TOKEN": "10000000", "API_REQUESTS_PER_ADDRESS": "10000000"}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")  # channels are tested, too
    with web_processes(1, **limits, **nowhere) as [server]:
        yield server


def key_of(user: User) -> str:
    token, key = create_access_token(actor=None, user=user, name="fuzzer", scopes=["admin"])
    AccessToken.objects.filter(pk=token.pk).update(id=OUT_OF_REACH)
    return key


@pytest.mark.parametrize("role", ["visitor", "user", "admin", "root"])
def test_no_answer_contradicts_the_document(web, role, tmp_path) -> None:
    people = {
        "root": make_root(balance=10**9),
        "admin": make_admin(balance=10**9),
        "user": make_user(balance=10**9),
    }
    for person in people.values():
        make_token(person)
    make_channel()
    keys = {name: key_of(person) for name, person in people.items() if name == role}
    headers = [f"--header=Authorization: Bearer {key}" for key in keys.values()]

    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG), "run"),
            f"{web.origin}/api/v1/openapi.json",
            *headers,
            *("--seed", SEED, "--max-examples", EXAMPLES, "--generation-deterministic", "--no-shrink"),
            *("--phases", PHASES, "--continue-on-failure", "--warnings", "off", "--no-color"),
            *("--request-timeout", "60", "--suppress-health-check", "all"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    print(done.stdout[-2000:])  # how many cases it was: shown by pytest -rP
    assert done.returncode == 0, done.stdout[-30_000:] + done.stderr
    assert [check.code for check in audit_ledger() if check.broken] == []
    assert "api.failed" not in web.log.read_text()

import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import InvalidToken
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from oneapi_admin.lib import secrets

quick = hypothesis_settings(deadline=None, max_examples=50)


@quick
@given(st.text())
def test_what_is_encrypted_reads_back_and_cannot_be_seen(text: str) -> None:
    stored = secrets.encrypt("a purpose", text)

    assert secrets.decrypt("a purpose", stored) == text
    assert stored.isascii()


def test_two_encryptions_of_one_text_differ() -> None:
    assert secrets.encrypt("p", "sk-1") != secrets.encrypt("p", "sk-1")


def test_one_purpose_cannot_read_what_another_stored() -> None:
    stored = secrets.encrypt("billing.channel_key", "sk-1")

    with pytest.raises(InvalidToken):
        secrets.decrypt("accounts.totp", stored)


def test_after_a_rotation_the_old_key_still_reads_and_the_new_one_writes(settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the old key", []
    old = secrets.encrypt("p", "sk-1")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key", ["the old key"]
    new = secrets.encrypt("p", "sk-2")

    assert secrets.decrypt("p", old) == "sk-1"
    settings.SECRET_KEY_FALLBACKS = []
    assert secrets.decrypt("p", new) == "sk-2"
    with pytest.raises(InvalidToken):
        secrets.decrypt("p", old)


def test_a_changed_byte_is_noticed() -> None:
    stored = secrets.encrypt("p", "sk-1")

    with pytest.raises(InvalidToken):
        secrets.decrypt("p", stored[:-2] + ("A" if stored[-2] != "A" else "B") + stored[-1])


def test_keys_are_letters_and_digits_and_never_repeat() -> None:
    keys = {secrets.random_key() for _ in range(200)}

    assert len(keys) == 200
    assert all(len(key) == 48 and key.isalnum() and key.isascii() for key in keys)


def test_a_key_is_found_by_its_sha_256() -> None:
    assert secrets.key_digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_keyed_digest_depends_on_the_purpose_the_secret_and_the_text() -> None:
    digests = {
        secrets.keyed_digest(purpose, secret, text)
        for purpose in ("p", "q")
        for secret in ("s", "t")
        for text in ("x", "y", "x\0", "💥", "\ud800", "")
    }

    assert len(digests) == 24
    assert all(len(digest) == 64 for digest in digests)


def test_many_contents_are_hashed_as_the_standard_says_each_by_itself() -> None:
    key = secrets.derived_key("p", "s")
    contents = [b"", b"x", b"y" * 200, b"\0\xff", b"x"]

    digests = secrets.keyed_digests("p", "s", contents)

    assert digests == [hmac.digest(key, content, "sha256") for content in contents]
    assert secrets.keyed_digests("p", "s", []) == []


def test_many_threads_can_hash_at_once() -> None:
    contents = [number.to_bytes(10, "big") for number in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda content: secrets.keyed_digests("p", "s", [content])[0], contents))

    assert found == secrets.keyed_digests("p", "s", contents)


@quick
@given(st.binary())
def test_what_is_no_text_is_encrypted_as_well(content: bytes) -> None:
    stored = secrets.encrypt_bytes("a purpose", content)

    assert secrets.decrypt_bytes("a purpose", stored) == content
    with pytest.raises(InvalidToken):
        secrets.decrypt_bytes("another", stored)

"""Codes at rest: hashed for good, and encrypted for as long as they can be read."""

from collections.abc import Sequence

from django.conf import settings

from oneapi_admin.lib.secrets import decrypt_bytes, encrypt_bytes, keyed_digests

_HASHED = "redemption.code"
_SEALED = "redemption.sealed_codes"


def digests_of(codes: Sequence[bytes]) -> list[bytes]:
    """What codes are stored by."""
    return keyed_digests(_HASHED, settings.CODE_SECRET, codes)


def code_digests(bits: bytes) -> list[bytes]:
    """What a code may be found by: also under the secrets that were replaced."""
    secrets = (settings.CODE_SECRET, *settings.CODE_SECRET_FALLBACKS)
    return [keyed_digests(_HASHED, secret, [bits])[0] for secret in secrets]


def seal(content: bytes) -> bytes:
    """Encrypt codes for the time in which they can be read."""
    return encrypt_bytes(_SEALED, content)


def unseal(sealed: bytes) -> bytes:
    """
    :raises cryptography.fernet.InvalidToken: if SECRET_KEY was replaced and the old one is not known
    """
    return decrypt_bytes(_SEALED, sealed)

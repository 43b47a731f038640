"""Keys: making them, hashing them, and encrypting what has to be read back."""

import base64
import hashlib
import hmac
import secrets
import string
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

TOKEN_KEY_LENGTH = 48
_ALPHANUMERIC = string.ascii_letters + string.digits


def random_key(length: int = TOKEN_KEY_LENGTH) -> str:
    """Return ``length`` random letters and digits from the operating system."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def key_digest(key: str) -> str:
    """Hash a random key of high entropy for storage and look-up: hex SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()


def derived_key(purpose: str, secret: str) -> bytes:
    """Derive 32 bytes for one purpose, so that no two purposes share a key."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode()).derive(
        secret.encode()
    )


def keyed_digest(purpose: str, secret: str, text: str) -> str:
    """Hash a short secret such as a code: hex HMAC-SHA-256 with a key derived for ``purpose``."""
    content = text.encode(errors="surrogatepass")  # a text read from JSON may have half characters
    return hmac.digest(_cached_derived_key(purpose, secret), content, "sha256").hex()


@lru_cache(maxsize=32)
def _cached_derived_key(purpose: str, secret: str) -> bytes:
    return derived_key(purpose, secret)


@lru_cache(maxsize=8)
def _fernet(purpose: str, all_secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(derived_key(purpose, secret))) for secret in all_secrets]
    )


def encrypt(purpose: str, text: str) -> str:
    """Encrypt a secret for storage, with the newest key."""
    return (
        _fernet(purpose, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
        .encrypt(text.encode())
        .decode()
    )


def decrypt(purpose: str, token: str) -> str:
    """Read back what :func:`encrypt` stored, also under a retired key.

    :raises cryptography.fernet.InvalidToken: if no known key fits
    """
    return (
        _fernet(purpose, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
        .decrypt(token.encode())
        .decode()
    )

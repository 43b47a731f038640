"""Keys: making them, hashing them, and encrypting what has to be read back."""

import base64
import hashlib
import secrets
import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

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
    """Hash a text with a key derived for ``purpose``: hex HMAC-SHA-256."""
    # A text read from JSON may have half characters.
    return keyed_digests(purpose, secret, [text.encode(errors="surrogatepass")])[0].hex()


def keyed_digests(purpose: str, secret: str, contents: Iterable[bytes]) -> list[bytes]:
    """Hash many short secrets such as codes, each for itself: HMAC-SHA-256.

    The key is hashed once, and every HMAC (RFC 2104) goes on from there: millions of them are asked for.
    """
    inner, outer = _keyed_states(purpose, secret)
    begin, end = inner.copy, outer.copy
    digests = []
    for content in contents:
        first = begin()
        first.update(content)
        second = end()
        second.update(first.digest())
        digests.append(second.digest())
    return digests


@lru_cache(maxsize=32)
def _keyed_states(purpose: str, secret: str) -> tuple[Any, Any]:
    """SHA-256 after the key's inner and after its outer block."""
    block = derived_key(purpose, secret).ljust(hashlib.sha256().block_size, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


@lru_cache(maxsize=8)
def _fernet(purpose: str, all_secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(derived_key(purpose, secret))) for secret in all_secrets]
    )


def encrypt(purpose: str, text: str) -> str:
    """Encrypt a secret for storage, with the newest key."""
    return encrypt_bytes(purpose, text.encode()).decode()


def decrypt(purpose: str, token: str) -> str:
    """Read back what :func:`encrypt` stored, also under a retired key.

    :raises cryptography.fernet.InvalidToken: if no known key fits
    """
    return decrypt_bytes(purpose, token.encode()).decode()


def encrypt_bytes(purpose: str, content: bytes) -> bytes:
    """Encrypt what is no text, with the newest key."""
    return _fernet(purpose, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)).encrypt(content)


def decrypt_bytes(purpose: str, token: bytes) -> bytes:
    """Read back what :func:`encrypt_bytes` stored, also under a retired key.

    :raises cryptography.fernet.InvalidToken: if no known key fits
    """
    return _fernet(purpose, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)).decrypt(token)

"""Settings from the environment, with every secret also readable from a file."""

import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from environs import Env


def secret(env: Env, name: str, default: str = "") -> str:
    """Read a secret from ``NAME``, or from the file that ``NAME_FILE`` names.

    :raises ValueError: if both are set, since one of them would be silently ignored; if the file is empty
    """
    value = env.str(name, "")
    path = env.str(f"{name}_FILE", "")
    if value and path:
        raise ValueError(f"Set {name} or {name}_FILE, not both.")
    if path:
        found = Path(path).read_text(encoding="utf-8").strip()
        if not found:
            raise ValueError(f"The file that {name}_FILE names is empty: {path}")
        return found
    return value or default


def generated_secret(path: Path) -> str:
    """Return the secret kept in ``path``, making it (mode 0600) the first time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as draft:  # made with mode 0600
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            with contextlib.suppress(FileExistsError):  # another process was first: its secret counts
                os.link(draft.name, path)
    return path.read_text(encoding="utf-8").strip()


def runtime_dir(data_dir: Path) -> Path:
    """A short, private folder for sockets: a socket's path may have about 100 characters only."""
    candidate = data_dir / "run"
    if len(str(candidate)) > 70:
        digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
        candidate = Path(tempfile.gettempdir()) / f"oneapi-admin-{digest}"
    return candidate

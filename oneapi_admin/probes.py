"""Whether this process lives, and whether what it needs answers."""

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    checks = {"database": _database_answers(), "redis": _redis_answers()}
    is_ready = all(checks.values())
    states = {name: "ok" if answers else "unavailable" for name, answers in checks.items()}
    body = {"status": "ok" if is_ready else "unavailable", **states}
    return JsonResponse(body, status=200 if is_ready else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:  # noqa: BLE001  any failure of any driver means the same here
        return False
    return True


def _redis_answers() -> bool:
    try:
        cache.get("readyz")
    except Exception:  # noqa: BLE001  any failure of any driver means the same here
        return False
    return True


PROBES = {"/healthz": healthz, "/readyz": readyz}

"""``python scripts/openapi.py``: write the management API's document to ``docs/openapi.json``."""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "openapi.json"


def document() -> str:
    """The document as it is committed."""
    from oneapi_admin.api import api  # noqa: PLC0415  Django has to be set up first

    schema = api.get_openapi_schema(path_prefix="/api/v1/")
    return json.dumps(schema, indent=2, ensure_ascii=False, default=str) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")
    import django

    django.setup()
    DOCUMENT.write_text(document(), encoding="utf-8")

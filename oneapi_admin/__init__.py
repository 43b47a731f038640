"""The composition root: settings, URLs, servers and commands."""

from oneapi_admin.celery import app as celery_app

__all__ = ["celery_app"]
__version__ = "0.1.0"

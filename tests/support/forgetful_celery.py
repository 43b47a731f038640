"""The product's Celery application with workers whose claims on webhooks are over at once."""

from datetime import timedelta

from celery.signals import worker_process_init

from oneapi_admin.celery import app  # noqa: F401  what ``celery --app`` looks for


@worker_process_init.connect  # type: ignore[untyped-decorator]
def forget_claims(**_kwargs: object) -> None:
    from billing.services import webhooks

    webhooks.CLAIMED_FOR = timedelta(seconds=-1)

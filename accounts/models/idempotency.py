"""What the management API remembers of requests that may be sent again."""

from typing import ClassVar

from django.db import models

from accounts.models.users import User


class IdempotencyRecord(models.Model):
    """The first answer to a request with an ``Idempotency-Key``, written in the transaction of its effect."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    """Of method, path and body: the same key does not stand for another request."""
    status = models.PositiveSmallIntegerField(default=0)
    """Of the answer; 0 only inside the transaction that makes it."""
    encrypted_body = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_record_key_unique"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="idempotency_record_by_time")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.key}"

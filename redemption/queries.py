"""Reading batches of codes with what became of them."""

from django.db.models import Count, Q, QuerySet

from redemption.models import CodeBatch, CodeStatus

_COUNTS = {f"{name}_count": Count("codes", filter=Q(codes__status=name)) for name in CodeStatus.values}


def batches() -> QuerySet[CodeBatch]:
    """Batches with how many of their codes are in which state."""
    return CodeBatch.objects.select_related("created_by").annotate(**_COUNTS)

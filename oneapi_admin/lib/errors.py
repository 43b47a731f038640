"""The base of every error that a person or a program is meant to understand."""

from typing import Any, ClassVar

from django.utils.functional import Promise


class DomainError(Exception):
    """A refusal with a stable code, an HTTP status, a reason and a remedy.

    Subclasses stand in the module that raises them. ``message`` and ``remedy`` are
    lazily translated templates, filled from the keyword arguments, so that one error
    reads well in the language of whoever sees it, whenever they see it.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 400
    error_type: ClassVar[str] = "invalid_request_error"
    """The ``type`` in OpenAI's error envelope."""
    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody changing anything."""
    message: ClassVar[str | Promise] = ""
    remedy: ClassVar[str | Promise] = ""

    def __init__(self, **context: Any) -> None:
        self.context = context
        self.language = ""
        """The reader's own language, where it is known."""
        self.retry_after_s: int | None = None
        """When the same call may succeed, where it is known."""
        super().__init__(self.code)

    def __str__(self) -> str:
        return str(self.message % self.context)

    @property
    def remedy_text(self) -> str:
        """What the reader can do about it, in the active language."""
        return str(self.remedy % self.context)

    @property
    def full_text(self) -> str:
        """Reason and remedy as one paragraph, in the active language."""
        return " ".join(part for part in (str(self), self.remedy_text) if part)

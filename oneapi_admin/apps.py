from django.apps import AppConfig


class OneapiAdminConfig(AppConfig):
    name = "oneapi_admin"

    def ready(self) -> None:
        from oneapi_admin import checks  # noqa: F401, PLC0415  registers the system checks

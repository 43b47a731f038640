from django.apps import AppConfig


class RedemptionConfig(AppConfig):
    name = "redemption"

    def ready(self) -> None:
        from billing.models import AlertKind  # noqa: PLC0415  models cannot be imported before all apps are there
        from billing.services.alerts import sources  # noqa: PLC0415
        from redemption.services.attack_alerts import readings  # noqa: PLC0415

        sources.register(AlertKind.CODE_ATTACK, readings)

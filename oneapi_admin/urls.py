"""Every URL of the console; ``/v1`` never gets here (``oneapi_admin.asgi``)."""

from django.contrib import admin
from django.urls import include, path
from django.conf.urls.i18n import urlpatterns as i18n_urlpatterns

from oneapi_admin.views import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("i18n/", include(i18n_urlpatterns)),
    path("accounts/", include("allauth.urls")),
    path("django-admin/", admin.site.urls),
]

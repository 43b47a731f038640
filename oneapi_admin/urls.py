"""Every URL of the console; ``/v1`` never gets here (``oneapi_admin.asgi``)."""

from django.contrib import admin
from django.urls import include, path

from accounts.views import set_language
from oneapi_admin.api import api

urlpatterns = [
    path("i18n/setlang/", set_language, name="set_language"),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", api.urls),
    path("ops/", include("oneapi_admin.urls_ops")),
    path("", include("oneapi_admin.urls_portal")),
    path("django-admin/", admin.site.urls),
]

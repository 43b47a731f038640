"""The console alone, as a WSGI application, for servers of one's own choice."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")
application = get_wsgi_application()

#!/usr/bin/env python
"""Django's command line for oneapi-admin."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415  it reads the settings

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

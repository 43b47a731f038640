"""Collect texts into the catalogues and compile them: ``make messages`` (needs GNU gettext)."""

import subprocess
import sys
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    ignored = [
        f"--ignore={name}"
        for name in ("node_modules", ".venv", "tests", "bench", "scripts", "data", "sandbox")
    ]
    command = [
        sys.executable,
        "-m",
        "django",
        "makemessages",
        "-l",
        "zh_Hans",
        "--no-location",
        "--no-obsolete",
    ]
    subprocess.run([*command, *ignored], cwd=ROOT, check=True)
    for path in (ROOT / "locale").glob("*/LC_MESSAGES/django.po"):
        catalogue = polib.pofile(str(path))
        catalogue.save_as_mofile(str(path.with_suffix(".mo")))
        print(
            f"{path.relative_to(ROOT)}: {len(catalogue.untranslated_entries())} of {len(catalogue)}"
            " not translated"
        )


if __name__ == "__main__":
    main()

"""Fail unless every text is translated into Chinese and the compiled catalogue is current.

Collects the texts again in a copy of the sources (needs GNU gettext), so that nothing is written here.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("oneapi_admin", "accounts", "billing", "redemption", "relay", "templates", "locale")
CATALOGUE = Path("locale/zh_Hans/LC_MESSAGES/django.po")


def main() -> int:
    committed = polib.pofile(str(ROOT / CATALOGUE))
    problems = [f"not translated: {entry.msgid!r}" for entry in committed.untranslated_entries()]
    problems += [f"fuzzy: {entry.msgid!r}" for entry in committed.fuzzy_entries()]
    known = {(entry.msgctxt, entry.msgid) for entry in committed}
    problems += [f"missing: {msgid!r}" for context, msgid in sorted(_collected() - known, key=str)]
    compiled = {
        (e.msgctxt, e.msgid, e.msgstr, str(e.msgstr_plural))
        for e in polib.mofile(str(ROOT / CATALOGUE.with_suffix(".mo")))
    }
    expected = {(e.msgctxt, e.msgid, e.msgstr, str(e.msgstr_plural)) for e in committed.translated_entries()}
    if compiled != expected:
        problems.append("the compiled catalogue is not current: run make messages")
    print("\n".join(problems) or f"{len(committed)} texts, all translated")
    return int(bool(problems))


def _collected() -> set[tuple[str | None, str]]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in SOURCES:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [
            sys.executable,
            "-m",
            "django",
            "makemessages",
            "-l",
            "zh_Hans",
            "--no-location",
            "-v",
            "0",
        ]
        (copy / "locale").mkdir(exist_ok=True)
        subprocess.run(command, cwd=copy, check=True)
        collected = polib.pofile(str(copy / CATALOGUE))
    return {(entry.msgctxt, entry.msgid) for entry in collected if not entry.obsolete}


if __name__ == "__main__":
    sys.exit(main())

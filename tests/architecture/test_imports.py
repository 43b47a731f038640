"""Imports run one way; the rules stand in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_the_import_rules_hold() -> None:
    checked = subprocess.run(
        [sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "KEPT" in checked.stdout
    assert "0 broken" in checked.stdout

#!/usr/bin/env python3
"""Copy third-party browser assets from npm into static/vendor.

The result is committed, so neither running nor testing the product needs npm.

    scripts/vendor.py                        install package-lock.json in a temporary folder and copy
    scripts/vendor.py --node-modules FOLDER  copy from an existing node_modules
    scripts/vendor.py --check                compare static/vendor with its manifest
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
MANIFEST = VENDOR / "MANIFEST.sha256"

# folder in static/vendor -> npm package, licence file, files
PACKAGES = {
    "tabler": ("@tabler/core", None, ["dist/css/tabler.min.css", "dist/js/tabler.min.js"]),
    "htmx": ("htmx.org", "LICENSE", ["dist/htmx.min.js"]),
    "swagger-ui": ("swagger-ui-dist", "LICENSE", ["swagger-ui.css", "swagger-ui-bundle.js"]),
    "chartjs": ("chart.js", "LICENSE.md", ["dist/chart.umd.min.js"]),
    "inter": (
        "@fontsource-variable/inter",
        "LICENSE",
        ["files/inter-latin-wght-normal.woff2", "files/inter-latin-ext-wght-normal.woff2"],
    ),
}
ICON_PACKAGE = "@tabler/icons"
ICONS = (ROOT / "scripts" / "icons.txt").read_text().split()


def install() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vendor-"))
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder / "node_modules"


def version_of(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text())["version"])


def without_source_map(data: bytes) -> bytes:
    """The maps are not shipped, and a reference to a missing file stops collectstatic."""
    return re.sub(rb"\s*(//|/\*)# sourceMappingURL=[^\s*]+(\s*\*/)?\s*$", b"\n", data)


def licence_text(package: Path, licence: str | None, node_modules: Path) -> str:
    if licence:
        return (package / licence).read_text()
    # @tabler/core states its licence (MIT) only in the head of its files.
    banner = (package / "dist/css/tabler.min.css").read_text()[:400]
    holders = "\n".join(re.findall(r"\* (Copyright .+)", banner))
    terms = (node_modules / ICON_PACKAGE / "LICENSE").read_text().split("\n\n", 2)[2]
    return f"MIT License\n\n{holders}\n\n{terms}"


def copy(node_modules: Path) -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    for name, (npm_name, licence, files) in PACKAGES.items():
        package, folder = node_modules / npm_name, VENDOR / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / Path(file).name).write_bytes(without_source_map((package / file).read_bytes()))
        (folder / "LICENSE.txt").write_text(licence_text(package, licence, node_modules))
        (folder / "VERSION.txt").write_text(f"{npm_name} {version_of(package)}\n")

    package, folder = node_modules / ICON_PACKAGE, VENDOR / "tabler-icons"
    folder.mkdir()
    for icon in ICONS:
        shutil.copyfile(package / "icons/outline" / f"{icon}.svg", folder / f"{icon}.svg")
    shutil.copyfile(package / "LICENSE", folder / "LICENSE.txt")
    (folder / "VERSION.txt").write_text(f"{ICON_PACKAGE} {version_of(package)}\n")


def manifest() -> str:
    files = sorted(p for p in VENDOR.rglob("*") if p.is_file() and p != MANIFEST)
    return "".join(
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(VENDOR).as_posix()}\n" for p in files
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--node-modules", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        same = manifest() == MANIFEST.read_text()
        print("static/vendor matches its manifest" if same else "static/vendor differs from its manifest")
        return 0 if same else 1
    copy(options.node_modules or install())
    MANIFEST.write_text(manifest())
    return 0


if __name__ == "__main__":
    sys.exit(main())

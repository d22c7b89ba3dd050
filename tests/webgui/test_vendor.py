"""Vendored files are what scripts/vendor wrote, each with a licence, and nothing else lies beside them."""

import hashlib
import json
from pathlib import Path

import webgui

STATIC = Path(webgui.__file__).parent / "static"
VENDOR = STATIC / "vendor"


def test_vendored_files_have_the_recorded_content():
    entries = json.loads((VENDOR / "VENDOR.json").read_text())
    for entry in entries:
        assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]
    assert {path.name for path in VENDOR.iterdir()} == {entry["file"] for entry in entries} | {"VENDOR.json"}


def test_every_vendored_package_names_version_integrity_and_licence():
    for entry in json.loads((VENDOR / "VENDOR.json").read_text()):
        assert entry["licence"] in {"MIT", "0BSD", "BSD-3-Clause", "Apache-2.0"}
        assert entry["version"] and entry["integrity"].startswith("sha512-")
        licence = entry["package"].strip("@").replace("/", "-") + ".LICENSE.txt"
        assert (VENDOR / licence).exists()


def test_our_own_scripts_never_make_markup_or_code_out_of_text():
    for script in STATIC.glob("*.js"):
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "setAttribute('style",
        ):
            assert word not in script.read_text(), f"{script.name}: {word}"


def test_no_page_loads_anything_from_elsewhere():
    for path in [*STATIC.glob("*.css"), *STATIC.glob("*.js"), *(STATIC.parent / "templates").glob("*.html")]:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "@import" not in text, path.name

"""Vendored files are what scripts/vendor wrote, each with a licence, and nothing else lies beside them."""

import hashlib
import json
from pathlib import Path

import pytest

import webgui

STATIC = Path(webgui.__file__).parent / "static"
VENDORS = (STATIC / "vendor", Path(__file__).parent / "vendor")


@pytest.mark.parametrize("folder", VENDORS, ids=["pages", "tests"])
def test_vendored_files_have_the_recorded_content(folder):
    entries = json.loads((folder / "VENDOR.json").read_text())
    for entry in entries:
        assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]
    assert {path.name for path in folder.iterdir()} == {entry["file"] for entry in entries} | {"VENDOR.json"}


@pytest.mark.parametrize("folder", VENDORS, ids=["pages", "tests"])
def test_every_vendored_package_names_version_integrity_and_licence(folder):
    # A licence that asks something of who ships a file is good enough for what is only used in tests.
    good = {"MIT", "0BSD", "BSD-3-Clause", "Apache-2.0"} | ({"MPL-2.0"} if folder != VENDORS[0] else set())
    for entry in json.loads((folder / "VENDOR.json").read_text()):
        assert entry["licence"] in good
        assert entry["version"] and entry["integrity"].startswith("sha512-")
        licence = entry["package"].strip("@").replace("/", "-") + ".LICENSE.txt"
        assert (folder / licence).exists()


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

"""Texts out of DICOM stay text: on every page, in every file; and no template holds code or switches the escaping off."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from walking import AE, EVIL, LONG, filled, table
from webgui_fakes import HOME, PAGE

import webgui

TEMPLATES = sorted((Path(webgui.__file__).parent / "templates").rglob("*.html"))
STATIC = Path(webgui.__file__).parent / "static"


class Reader(HTMLParser):
    """Lists elements that could run something."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "script" and not (given.get("src") or "").startswith("/static/"):
            self.found.append("inline script")
        if tag in ("style", "iframe", "object", "embed", "base", "meta") and not (
            tag == "meta" and "http-equiv" not in given
        ):
            self.found.append(tag)
        for name, value in attributes:
            if name == "style" or name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"{tag} {name}={value!r}")


def runs(text):
    reader = Reader()
    reader.feed(text)
    return reader.found


async def test_hostile_texts_are_text_on_every_page(real, real_app, callers, evil):
    real.record()
    client, shown = callers["admin"][0], set()
    for route in table(real_app):
        if route.method != "GET" or route.path == "/ws":
            continue
        answer = await client.get(filled(route.path, evil), headers=PAGE)
        text = (await answer.read()).decode("utf-8", "replace")  # the support bundle is a ZIP file
        assert answer.status < 500 or route.path == "/readyz", (route.path, text[:300])
        if answer.content_type == "text/html":
            assert runs(text) == [], route.path
            if "owned" in text or "&lt;script&gt;" in text:
                shown.add(route.path)
    assert shown, "no page showed the hostile texts: the test looks at nothing"


async def test_files_for_spreadsheets_hold_no_formula(real, real_app, callers, evil):
    real.record()
    client, files = callers["admin"][0], 0
    for route in table(real_app):
        if route.method != "GET" or route.path == "/ws":
            continue
        path = filled(route.path, evil)
        for query in ("", "?format=csv"):
            answer = await client.get(path + query)
            if answer.content_type != "text/csv":
                continue
            files += 1
            assert "attachment" in answer.headers["Content-Disposition"], path
            for row in csv.reader(io.StringIO(await answer.text())):
                assert not [
                    cell for cell in row if cell.startswith(("=", "+", "@", "\t", "\r")) or re.match(r"-\D", cell)
                ], path
    assert files


async def test_a_search_for_a_hostile_text_is_no_500(real, real_app, callers, evil):
    client = callers["admin"][0]
    for route in table(real_app):
        if route.path in ("/series/search", "/api/v1/series/search"):
            for word in (EVIL, LONG[:300], AE, "%", "_", "'; DROP TABLE image; --", "\x00", "\u202e", "*" * 50):
                sent = {"json": {"text": word, "q": word}} if route.in_api else {"data": {"text": word, "q": word}}
                answer = await client.post(route.path, headers=HOME | PAGE, **sent)
                assert answer.status < 500, word
                assert answer.content_type != "text/html" or runs(await answer.text()) == []


def test_the_reader_of_this_test_finds_what_it_is_for():
    for bad in ("<script>x</script>", "<p style='x'>", "<a onclick=x>", "<style>", "<a href='javascript:x'>", "<base href=x>",
                "<iframe>", "<script src='https://x'></script>"):  # fmt: skip
        assert runs(bad), bad
    assert (
        runs('<script src="/static/1/app.js" defer></script><meta charset="utf-8"><p data-on="x">&lt;script&gt;') == []
    )


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.name))
def test_no_template_holds_code_or_switches_the_escaping_off(template):
    text = template.read_text()
    plain = re.sub(r"{#.*?#}", "", text, flags=re.S)
    assert not re.search(r"<script(?![^>]*\bsrc=\"{{ asset\()", plain), "inline script"
    assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"'{]|javascript:", plain, re.I), (
        "inline style or handler"
    )
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", plain), "escaping off"
    assert "http://" not in plain and "https://" not in plain.replace("https://…", "")
    for form in re.findall(r"<form\b[^>]*>", plain):
        assert re.search(r"method=\"?(post|get|dialog|{{)", form), f"a form says how it is sent: {form}"


@pytest.mark.parametrize("script", sorted(STATIC.rglob("*.js")), ids=lambda path: path.name)
def test_no_script_of_ours_makes_markup_or_code_out_of_text(script):
    if "vendor" in script.parts:
        return
    text = script.read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "setAttribute('style",
        ".srcdoc",
    ):
        assert word not in text, word


async def test_every_asset_a_template_names_is_there(real_app):
    from webgui.keys import ASSETS

    for template in TEMPLATES:
        for name in re.findall(r"asset\('([^']+)'\)", template.read_text()):
            assert real_app[ASSETS].url(name), (template.name, name)

"""Help says which keys there are, names only areas that exist, and shows the documents without letting them bring markup."""

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from webgui_fakes import PAGE

from protocol.routing.parse import build
from webgui.areas.help import documents
from webgui.areas.help.thisnode import this_node
from webgui.areas.help.words import DOCUMENTS


async def text(client, path):
    answer = await client.get(path, headers=PAGE)
    assert answer.status == 200, path
    return await answer.text()


async def test_help_lists_keys_and_areas_that_exist(real_viewer):
    page = await text(real_viewer, "/help")
    assert "g h" in page and 'href="/help"' in page
    app: web.Application = real_viewer.app
    paths = {route.resource.canonical for route in app.router.routes()}
    assert all(f'href="{path}"' not in page for path in ("/series", "/queue") if path not in paths)
    assert all(word in page for word in ("parked", "quarantined", "shadow"))


async def test_every_document_is_a_page(real_viewer):
    titles = documents.titles()
    assert len(titles) > 10
    page = await text(real_viewer, "/help")
    for name, title in titles.items():
        assert f'href="/help/docs/{name}"' in page
        assert "<h1>" in await text(real_viewer, f"/help/docs/{name}") and title
    for name in ("nothing", "..%2fREADME", "Rules"):
        assert (await real_viewer.get(f"/help/docs/{name}")).status == 404


def test_links_between_documents_lead_to_pages_that_exist():
    for name in documents.titles():
        body = str(documents.document(name).body)
        for link in body.split('href="')[1:]:
            path = link.partition('"')[0]
            assert path.startswith(("/help", "#", "https://")), (name, path)
    assert 'href="/help/docs/retention"' in str(documents.document("queue").body) + str(documents.document("rules").body) + str(
        documents.document("guarantees").body) + str(documents.document("routing").body)  # fmt: skip


@pytest.mark.parametrize(("url", "place"), [
    ("rules.md", "/help/docs/rules"), ("rules.md#text", "/help/docs/rules#text"), ("../ARCHITECTURE.md", "/help"),
    ("../docs/rules.md", "/help"), ("https://dicom.nema.org/x", "https://dicom.nema.org/x"), ("#part", "#part"), ("x.md", "/help"),
])  # fmt: skip
def test_a_link_leads_to_a_document_or_elsewhere_by_https(url, place):
    assert documents.address(url, frozenset({"rules"})) == place


@pytest.mark.parametrize("evil", [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))",
    "![x](https://evil.example/x.png)", "[x](data:text/html,<script>)", "<details open ontoggle=alert(1)>", "[x](//evil.example)",
    "`<b>`", "[x](vbscript:x)", '[x](https://a" onclick="x)', "| <b> |\n|---|\n| <i> |",
])  # fmt: skip
def test_a_document_brings_no_markup_of_its_own(evil):
    body = str(documents.render(evil)).lower()
    for word in (
        "<script",
        "<img",
        'javascript:alert(1)"',
        'href="data:',
        "<details",
        'href="//',
        "<b>",
        "<i>",
        'vbscript:x"',
        '" onclick',
    ):
        assert word not in body, body


@given(st.text(alphabet="<>[]()!`*_#|-\n\"' abc:/javascript&;", max_size=80))
def test_whatever_is_written_only_known_elements_come_out(text):
    import re

    allowed = {"p", "a", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br", "table", "thead", "tbody", "tr", "th",
               "td", *(f"h{number}" for number in range(1, 7))}  # fmt: skip
    assert {tag.lower() for tag in re.findall(r"</?([a-zA-Z][a-zA-Z0-9]*)", str(documents.render(text)))} <= allowed


async def test_the_conformance_statement_tells_of_this_node(real_viewer, real):
    page = await text(real_viewer, "/conformance")
    for word in ("This node", "SCANPOST", "11112", "pacs", "127.0.0.1:1", "PACS", "Storage Commitment Push Model"):
        assert word in page, word


def test_this_node_names_ports_policies_sources_and_targets(real):
    data = {
        "targets": {
            "pacs": {
                "type": "dicom",
                "host": "pacs.example",
                "port": 104,
                "called_ae": "PACS",
                "pass_calling_ae": True,
            },
            "share": {"type": "folder", "path": "/data/x"},
        },
        "sources": {"mr1": {"calling_ae": "MR1", "address": "10.0.0.0/24", "accept": False}},
    }
    told = {table.title: table.rows for table in this_node(real.settings, build(data, "test"))}
    assert told["Sources it knows"] == (("mr1", "MR1", "10.0.0.0/24", "–", "no", "all SOP classes"),)
    assert told["Where it sends by C-STORE"][0][:5] == ("pacs", "the scanner's", "PACS", "pacs.example:104", "no")
    assert told["Where it sends otherwise"] == (("share", "folder"),)
    assert told["Where it listens"][0] == ("0.0.0.0", "11112", "SCANPOST", "any", "no")


async def test_licences_name_what_is_in_the_pages_and_needed(real_viewer):
    page = await text(real_viewer, "/help/licences")
    for word in ("@tabler/icons", "idiomorph", "0BSD", "aiohttp", "pydicom", "MIT"):
        assert word in page, word


def test_documents_stand_in_an_order_and_only_once():
    names = [name for _, group in DOCUMENTS for name in group]
    assert len(names) == len(set(names))

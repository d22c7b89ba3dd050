"""The pages of help: words and keys, documents, conformance, licences. It must not need a node that runs."""

from __future__ import annotations

from aiohttp import web

from webgui import answers, auth
from webgui.areas.help import documents, licences, words
from webgui.areas.help.thisnode import this_node
from webgui.keys import NODE
from webgui.sections import SECTIONS


async def show(request: web.Request) -> web.Response:
    """What there is, keys, signs, words."""
    titles = await auth.in_thread(documents.titles)
    listed = {name for _, names in words.DOCUMENTS for name in names}
    groups = [(title, [(name, titles[name]) for name in names if name in titles]) for title, names in words.DOCUMENTS]
    if more := [(name, title) for name, title in titles.items() if name not in listed]:
        groups.append(("More", more))
    return answers.page(request, "help/help.html", keys=words.KEYS, areas=SECTIONS, groups=groups, levels=words.LEVELS,
                        glossary=words.GLOSSARY)  # fmt: skip


async def document(request: web.Request) -> web.Response:
    """One document."""
    name = request.match_info["name"]
    found = await auth.in_thread(lambda: documents.document(name))
    return answers.page(request, "help/document.html", document=found)


async def conformance(request: web.Request) -> web.Response:
    """The DICOM conformance statement, with this node's configuration first."""
    node = request.app[NODE]
    version = await node.run(node.routing.current)
    tables = this_node(node.settings, version.configuration)
    statement = await auth.in_thread(
        lambda: documents.document("conformance") if "conformance" in documents.titles() else None
    )
    return answers.page(
        request, "help/conformance.html", tables=tables, revision=version.number, statement=statement, name=node.name
    )


async def show_licences(request: web.Request) -> web.Response:
    """What scanpost is made with."""
    packages = await auth.in_thread(licences.libraries)
    return answers.page(request, "help/licences.html", packages=packages, vendored=licences.vendored())

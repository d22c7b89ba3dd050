"""What people do with rules: save a draft, activate, switch, move, delete. Each is a version of its own with a way back.

It must not decide what may be published (protocol/routing does).
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from aiohttp import web

from protocol.errors import NotFound, RoutingError, RuleSyntaxError, ScanpostError
from protocol.routing.difference import difference
from protocol.routing.edits import set_mode
from protocol.routing.parse import build, to_data
from protocol.routing.publishing import Data
from protocol.routing.versions import Version
from webgui import answers, changes, inputs, publishing
from webgui.areas.rules import edits, form, models, pages, reading, trying, words
from webgui.areas.rules.drafts import Draft
from webgui.changers import authors, changers
from webgui.keys import NODE, RULES
from webgui.recorded import record

LIST = "/rules"
MODES = {"activate": "active", "shadow": "shadow", "off": "off"}


async def edit(request: web.Request) -> web.Response:
    """The editor's form: check, keep as a draft, or publish as active, shadow or off (`do`)."""
    values = await pages.large(request)
    made, do = form.read(values), str(values.get("do") or "check")
    made.tried_on = trying.asked_of(values)
    version = await publishing.current(request.app[NODE])
    if do == "keep":
        return await _keep(request, made, str(values.get("test_name") or "").strip()[:200], version)
    if do.startswith("forget:"):
        made.rule["tests"] = [one for at, one in enumerate(made.rule["tests"]) if f"forget:{at}" != do]
        do = "draft"
    if do == "draft":
        return await _save(request, made, version, f"Draft of '{made.name}' saved. Nothing acts on it yet.")
    configuration = form.drafted(made, version.configuration, MODES.get(do, "active"))
    if configuration is None:
        return await pages.editor(request, made, version, 422)
    if do not in MODES:
        findings = await publishing.findings_of(request.app[NODE], configuration)
        at = next(at for at, rule in enumerate(configuration.rules) if rule.name == made.name)
        mine = [one for one in findings if one.place.startswith(f"rules[{at}]")]
        return await pages.editor(request, made, version, findings=mine, checked=True)
    return await _publish(request, made, version, MODES[do])


async def _publish(request: web.Request, made: form.Form, version: Version, mode: str) -> web.Response:
    node = request.app[NODE]
    rule = {key: value for key, value in made.rule.items() if value is not None} | {"mode": mode}
    seen = await reading.seen_at(node, made.base, made.was)
    reason = (
        made.reason
        or f"rule {made.name} " + {"active": "activated", "shadow": "in shadow", "off": "switched off"}[mode]
    )
    try:
        done = await publishing.publish(request, edits.put(rule, made.was, seen, made.place), reason)
    except edits.Overtaken as exc:
        return await _overtaken(request, made, exc.theirs, seen)
    except RoutingError as exc:
        made.others = [fault.line() for fault in exc.faults]
        return await pages.editor(request, made, version, 422)
    drafts = reading.drafts_of(request)
    draft = await node.run(lambda: drafts.find(made.name))
    if draft is not None and draft.backtest and draft.rule.get("when") == made.rule.get("when"):
        told = {"version": done.after.number, "mode": mode, **draft.backtest}
        await record(request, "rule backtest", f"rule {made.name}", None, told)
    for name in filter(None, (made.name, made.was)):
        await node.run(partial(drafts.forget, name))
    what = {
        "active": "is active",
        "shadow": "runs in shadow: it is counted, nothing follows",
        "off": "is saved, switched off",
    }
    return publishing.done(request, done, _path(made.name), f"Rule '{made.name}' {what[mode]}.")


async def _overtaken(request: web.Request, made: form.Form, theirs: Data | None, seen: Data | None) -> web.Response:
    """The second editor is told what the first one did, and keeps everything; publishing again then replaces it knowingly."""
    node = request.app[NODE]
    now = await publishing.current(node)

    def culprits() -> list[Version]:
        made_it = changers(
            node.routing, now, made.base, lambda one: reading.rule_of(to_data(one.configuration), made.was)
        )
        return made_it or [now]

    def differing() -> list[dict[str, Any]]:
        whole = to_data(now.configuration)
        sides = []
        for rule in (seen, theirs):
            rest = [one for one in whole["rules"] if one["name"] != made.was]
            sides.append(build(whole | {"rules": rest + ([rule] if rule else [])}, "this rule"))
        return changes.rows(difference(*sides))

    since = await node.run(culprits)
    conflict = {"version": since[0].number, "author": since[0].author, "authors": authors(since),
                "reason": since[0].reason, "changes": [], "gone": theirs is None}  # fmt: skip
    try:
        conflict["changes"] = await node.run(differing)
    except RoutingError:
        conflict["changes"] = []
    made.base = now.number
    if theirs is None:
        made.was = ""
    form.drafted(made, now.configuration)
    return await pages.editor(request, made, now, 409, conflict=conflict)


async def _save(request: web.Request, made: form.Form, version: Version, text: str) -> web.Response:
    form.drafted(made, version.configuration)
    if "name" in made.errors and "already" not in made.errors["name"]:
        return await pages.editor(request, made, version, 422)
    await save_draft(request, made)
    return answers.go(request, f"{_path(made.name)}?draft=true", text)


async def save_draft(request: web.Request, made: form.Form) -> None:
    """Keep what is in the editor for whoever asks. Raises HTTPServiceUnavailable."""
    node, drafts = request.app[NODE], reading.drafts_of(request)
    former = await node.run(lambda: drafts.find(made.name))
    # The numbers of a backtest stay as long as the condition that they are about.
    same = former is not None and former.rule.get("when") == made.rule.get("when")
    backtest = former.backtest if former is not None and same else {}
    draft = Draft(made.name, made.rule, made.was, made.base, node.clock.now(), backtest)
    try:
        await node.run(lambda: drafts.save(draft))
    except OSError as exc:
        raise web.HTTPServiceUnavailable(text=f"The draft could not be saved: {exc.strerror or exc}.") from exc


async def _keep(request: web.Request, made: form.Form, name: str, version: Version) -> web.Response:
    """Keep what was tried as a test case of the draft."""
    source = request.app[RULES]

    def run() -> Data:
        configuration, _ = form.for_trying(made, version.configuration)
        title, case, _ = trying.case_of(made.tried_on, source, configuration)
        return trying.test_case(made.when, case, name or title)

    try:
        case = await request.app[NODE].run(run)
    except (RuleSyntaxError, ScanpostError) as exc:
        return await pages.editor(request, made, version, 422, try_error=str(exc))
    made.rule["tests"] = [*made.rule["tests"], case]
    word = words.RESULTS[case["expect"]][1]
    return await _save(request, made, version, f"Kept as a test case of the draft: expected is '{word}'.")


async def mode(request: web.Request) -> web.Response:
    """Switch a rule to active, shadow or off."""
    asked, name = await inputs.body(request, models.Mode), request.match_info["name"]
    word = f"off until {asked.off_until}" if asked.off_until else words.MODES[asked.mode][1]
    edit = set_mode(name, asked.mode, asked.off_until)
    done = await publishing.publish(request, edit, asked.reason or f"rule {name}: {word}")
    return publishing.done(request, done, LIST, f"Rule '{name}' is {word}.")


async def move(request: web.Request) -> web.Response:
    """One place up or down, or to a place."""
    asked, name = await inputs.body(request, models.Move), request.match_info["name"]
    done = await publishing.publish(request, edits.move(name, asked.to), asked.reason or f"rule {name} moved")
    return publishing.done(request, done, LIST, f"Rule '{name}' moved.")


async def order(request: web.Request) -> web.Response:
    """A new order, from dragging."""
    values = await inputs.values(request)
    names = values.get("names", [])
    listed = names.split(",") if isinstance(names, str) else [str(name) for name in names]
    asked = models.Order(names=listed, reason=str(values.get("reason", ""))[:500])
    done = await publishing.publish(request, edits.order(asked.names), asked.reason or "rules put in another order")
    return publishing.done(request, done, LIST, "The order of rules changed.")


async def delete(request: web.Request) -> web.Response:
    """Forget a rule; the version before it is the way back."""
    asked, name = await inputs.body(request, models.Why), request.match_info["name"]
    done = await publishing.publish(request, edits.remove(name), asked.reason or f"rule {name} removed")
    return publishing.done(request, done, LIST, f"Rule '{name}' is deleted.")


async def forget_draft(request: web.Request) -> web.Response:
    """Drop a draft of one's own."""
    name = request.match_info["name"]
    drafts = reading.drafts_of(request)
    if await request.app[NODE].run(lambda: drafts.find(name)) is None:
        raise NotFound(f"you have no draft '{name}'")
    await request.app[NODE].run(lambda: drafts.forget(name))
    return answers.go(request, LIST, f"The draft of '{name}' is dropped.")


def _path(name: str) -> str:
    return f"{LIST}/{quote(name)}"

"""A valid routing configuration with a bit of everything, and ways to make it wrong: for the model and for the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Damage = Callable[[dict[str, Any]], Any]

CONTRACT: dict[str, Any] = {
    "targets": {
        "pacs": {
            "type": "dicom",
            "host": "127.0.0.1",
            "port": 11113,
            "called_ae": "PACS",
            "calling_ae": "SCANPOST",
            "concurrency": 2,
            "retry": {"first_s": 10, "factor": 2, "max_s": 3600, "give_up_after_s": 259200, "max_attempts": None},
            "tls": None,
        },
        "ai1": {"type": "dicom", "host": "ai1.example.org", "port": 104, "called_ae": "AI1"},
        "ai2": {"type": "dicom", "host": "fd00::2", "port": 104, "called_ae": "AI2"},
        "share": {
            "type": "folder",
            "path": "/data/export",
            "layout": "{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}",
        },
        "web": {"type": "dicomweb", "url": "https://pacs.example.org/dicom-web"},
        "bucket": {"type": "s3", "bucket": "images"},
        "drop": {"type": "sftp", "host": "sftp.example.org", "user": "scanpost", "path": "/in"},
    },
    "groups": {"ai": {"mode": "balance", "members": ["ai1", "ai2"]}},
    "sources": {"mr1": {"calling_ae": "MR1", "address": None, "quiet_s": 10}},
    "rules": [
        {
            "name": "cardiac",
            "when": "modality == 'MR' and contains(StudyDescription, 'cardiac')",
            "action": "route",
            "targets": ["pacs", "ai"],
            "trigger": "series",
            "priority": "normal",
            "mode": "active",
            "stop": False,
            "fallback": False,
            "expires": None,
            "off_until": None,
            "quota": None,
            "schedule": None,
            "notify": [{"on": ["completed", "failed"], "to": "mail:ops@example.org"}],
            "comment": "",
            "owner": "",
            "tests": [],
        }
    ],
}


def target(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["targets"]["pacs"].update(changes)


def rule(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["rules"][0].update(changes)


FAULTS: list[tuple[Damage, str, str]] = [
    (target(port=0), "targets.pacs.port", "greater than or equal to 1"),
    (target(port=65536), "targets.pacs.port", "65535"),
    (target(port="104"), "targets.pacs.port", "whole number"),
    (target(port=True), "targets.pacs.port", "whole number"),
    (target(host="a b"), "targets.pacs.host", "spaces"),
    (target(host="http://x/"), "targets.pacs.host", "scheme"),
    (target(called_ae="SEVENTEEN_LETTERS"), "targets.pacs.called_ae", "16"),
    (target(called_ae="A\\B"), "targets.pacs.called_ae", "backslash"),
    (target(called_ae="A\tB"), "targets.pacs.called_ae", "control"),
    (target(called_ae="   "), "targets.pacs.called_ae", "blank"),
    (target(max_pdu=100), "targets.pacs", "max_pdu"),
    (target(tls={"cert": "/c.pem"}), "targets.pacs.tls", "belong together"),
    (target(tls={"ca": "ca.pem"}), "targets.pacs.tls.ca", "absolute"),
    (target(tls={"ca": "/ca.pem", "verify": False}), "targets.pacs.tls", "no use"),
    (target(tls={"verify": "no"}), "targets.pacs.tls.verify", "true or false"),
    (target(tls={"server_name": "a b"}), "targets.pacs.tls.server_name", "spaces"),
    (target(tls=True), "targets.pacs.tls", ""),
    (target(concurrency=0), "targets.pacs.concurrency", "1"),
    (target(prt=1), "targets.pacs.prt", "'port'"),
    (target(retry={"frist_s": 1}), "targets.pacs.retry.frist_s", "'first_s'"),
    (target(retry={"first_s": 10, "max_s": 5}), "targets.pacs.retry", "max_s"),
    (target(retry={"first_s": 0}), "targets.pacs.retry.first_s", "greater than 0"),
    (target(type="dcm"), "targets.pacs.type", "sftp"),
    (lambda data: data["targets"]["pacs"].pop("type"), "targets.pacs.type", "missing"),
    (lambda data: data["targets"]["pacs"].pop("host"), "targets.pacs.host", "missing"),
    (lambda data: data["targets"].update({"Pacs": data["targets"]["pacs"]}), "targets.Pacs", "a-z 0-9 _ -"),
    (lambda data: data["targets"].update({"x\n": data["targets"]["pacs"]}), "targets.x", "a-z 0-9 _ -"),
    (lambda data: data["targets"].update({"x" * 65: data["targets"]["pacs"]}), "targets.xxx", "a-z 0-9 _ -"),
    (lambda data: data["targets"]["share"].update(path="data"), "targets.share.path", "absolute"),
    (lambda data: data["targets"]["share"].update(path="/data/../etc"), "targets.share.path", "`..`"),
    (lambda data: data["targets"]["share"].update(layout="../{PatientID}"), "targets.share.layout", "relative"),
    (lambda data: data["targets"]["share"].update(layout="{PatientID.x}"), "targets.share.layout", "keyword"),
    (lambda data: data["targets"]["web"].update(url="https://u:p@h/"), "targets.web.url", "password"),
    (lambda data: data["targets"]["web"].update(connections=2, images_per_request=2), "targets.web", "one image per"),
    (lambda data: data["targets"]["web"].update(proxy="https://proxy:3128"), "targets.web.proxy", "http"),
    (rule(trigger="patient"), "rules[0].trigger", "'series', 'study' or 'image'"),
    (rule(study={}), "rules[0]", 'the trigger "study"'),
    (
        rule(trigger="study", study={"complete": "any_image(Modalty == 'CT')"}),
        "rules[0].study.complete",
        "'Modality'",
    ),
    (rule(trigger="study", study={"quiet": 5}), "rules[0].study.quiet", "'quiet_s'"),
    (rule(trigger="study", study={"max_wait_s": 0}), "rules[0].study.max_wait_s", "greater than 0"),
    (rule(trigger="study", study={"then": "discard"}), "rules[0].study.then", "'decide' or 'hold'"),
    (rule(trigger="image", fallback=True), "rules[0]", "no fallback"),
    (rule(trigger="image", action="hold"), "rules[0]", "its action is route"),
    (rule(trigger="image", when="count_images() > 3"), "rules[0]", "image functions"),
    (rule(when="Modalty == 'MR'"), "rules[0].when", "'Modality'"),
    (rule(when="x" * 5000), "rules[0].when", "4000"),
    (rule(targets=["paks"]), "rules[0].targets[0]", "Did you mean 'pacs'"),
    (rule(targets=["pacs", "zzz"]), "rules[0].targets[1]", "'cardiac' names the missing target or group 'zzz'"),
    (rule(targets=[]), "rules[0].targets", "routes to no target"),
    (rule(action="discard"), "rules[0].targets", "discards, but names targets"),
    (rule(action="send"), "rules[0].action", "'route', 'discard' or 'hold'"),
    (rule(priority="high"), "rules[0].priority", "urgent"),
    (rule(quota="max 50 series"), "rules[0].quota", "must be an object"),
    (rule(quota={"max": 0}), "rules[0].quota.max", "greater than or equal to 1"),
    (rule(quota={"max": 5, "per": "year"}), "rules[0].quota.per", "'month'"),
    (rule(schedule=[]), "rules[0].schedule", "at least 1"),
    (rule(schedule={"start": "7:30"}), "rules[0].schedule[0].start", "07:30"),
    (rule(schedule=[{"days": ["monday"]}]), "rules[0].schedule[0].days[0]", "'mon'"),
    (rule(schedule=[{"from": "07:30"}]), "rules[0].schedule[0].from", "unknown key 'from'"),
    (rule(expires="soon"), "rules[0].expires", "2026-12-31"),
    (rule(expires="2026-02-30"), "rules[0].expires", "2026-12-31"),
    (rule(expires="2026-12-31T18:00"), "rules[0].expires", "zone"),
    (rule(off_until="tomorrow"), "rules[0].off_until", "2026-12-31"),
    (rule(stop="yes"), "rules[0].stop", "true or false"),
    (rule(name="Cardiac MR"), "rules[0].name", "a-z 0-9 _ -"),
    (rule(comment="a\0b"), "rules[0].comment", "control"),
    (rule(notify=[{"on": ["x"], "to": "mail:a@b"}]), "rules[0].notify[0].on[0]", "completed"),
    (rule(notify=[{"on": ["failed"], "to": "mail:ops"}]), "rules[0].notify[0].to", "name@host"),
    (rule(notify=[{"on": ["failed"], "to": "mail:a@b,c@d"}]), "rules[0].notify[0].to", "one address"),
    (rule(notify=[{"on": ["failed"], "to": "webhook:ftp://h/x"}]), "rules[0].notify[0].to", "https://"),
    (
        rule(notify=[{"on": ["failed"], "to": "mail:a@b", "text": "{PatientAge}"}]),
        "rules[0].notify[0].text",
        "'PatientAge' is no field",
    ),
    (rule(notify=[{"on": ["failed"], "to": "mail:a@b", "text": "{rule"}]), "rules[0].notify[0].text", "braces"),
    (rule(notify=[{"on": ["failed"], "to": "sh:rm"}]), "rules[0].notify[0].to", "mail"),
    (rule(tests=[{"expct": "true"}]), "rules[0].tests[0].expct", "'expect'"),
    (lambda data: data["rules"].append(data["rules"][0]), "rules[1].name", "two rules named 'cardiac'"),
    (lambda data: data["groups"].update(pacs=data["groups"]["ai"]), "groups.pacs", "one name space"),
    (lambda data: data["groups"]["ai"].update(members=["ai"]), "groups.ai.members[0]", "missing target 'ai'"),
    (lambda data: data["groups"]["ai"].update(members=["ai1", "ai1"]), "groups.ai.members", "twice"),
    (lambda data: data["groups"]["ai"].update(members=[]), "groups.ai.members", "at least 1"),
    (lambda data: data["sources"].update(mr2={"calling_ae": "MR1 "}), "sources.mr2", "'mr1'"),
    (lambda data: data["sources"].update(mr2={}), "sources.mr2", "calling_ae, address or certificate"),
    (lambda data: data["sources"].update(mr2={"address": "10.0.0"}), "sources.mr2.address", "10.0.0.0/24"),
    (lambda data: data.update(rule=[]), "rule", "'rules'"),
    (lambda data: data.update(rules={}), "rules", "must be a list"),
]
"""What is changed, the place of the fault, and words that the message must have."""

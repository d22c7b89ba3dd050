"""/metrics: every family can be parsed, is documented, and is what the shipped alerts and dashboard ask for."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from protocol.clock import ManualClock
from protocol.spool.figures.metrics import BOUNDS_S, METRICS
from protocol.spool.figures.reading import Histogram
from tests.webgui.real_metrics import real_metrics
from webgui.config import WebConfig
from webgui.hub import Hub
from webgui.measures import Measures
from webgui.metrics.counted import COUNTERS, HISTOGRAMS, SUMMARIES, counted

TOP = Path(__file__).parents[2]
RULES, DASHBOARD = TOP / "deploy/prometheus/alerts.yml", TOP / "deploy/grafana/scanpost.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool of Prometheus is not installed")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return real_metrics(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def samples(text):
    """{name of a sample: names of its labels}."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def promtool(*arguments, text=""):
    done = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_every_metric_of_the_statistics_is_shown_with_a_value(samples):
    left_out = {"flow"}
    summed = {name for pair in SUMMARIES for name in pair}
    assert set(COUNTERS) | set(HISTOGRAMS) | summed | left_out == set(METRICS)
    for name, _ in COUNTERS.values():
        assert f"scanpost_{name}_total" in samples, "no sample: nothing of its kind happened in real_metrics"
    for name, _ in HISTOGRAMS.values():
        assert {f"scanpost_{name}_bucket", f"scanpost_{name}_sum", f"scanpost_{name}_count"} <= set(samples)


def test_no_name_comes_twice_and_all_have_our_prefix(text):
    kinds = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds)) and all(kind.startswith("scanpost_") for kind in kinds)


def test_state_and_presence_have_their_values(text):
    for line in (
        "scanpost_config_version 1.0", 'scanpost_alerts_firing{alert="target.missing.pacs"} 1.0',
        'scanpost_actor_last_heartbeat_timestamp_seconds{actor="router"} 2.0', "scanpost_statistics_backlog_events 0.0",
        'scanpost_waiting_deliveries{priority="urgent",target="archive"} 1.0', "scanpost_spool_bytes 0.0",
        'scanpost_actor_mailbox_messages{actor="router"} 3.0', "scanpost_rule_evaluation_seconds_count 1.0",
        "scanpost_accounting_missing_images 0.0", 'scanpost_delivery_oldest_age_seconds{target="pacs"} 0.0',
    ):  # fmt: skip
        assert line in text.splitlines(), line
    assert 'scanpost_certificate_expiry_timestamp_seconds{certificate="webgui"}' in text
    assert float(re.search(r"^scanpost_ledger_lag_seconds (\S+)$", text, re.M)[1]) >= 5


def test_histograms_add_up_from_bound_to_bound():
    counts = [0] * (len(BOUNDS_S) + 1)
    counts[0], counts[3], counts[-1] = 1, 2, 4
    families = {
        one.name: one for one in counted(Measures(histograms={"sending_s": {("pacs",): Histogram(counts, 9.5)}}))
    }
    samples = {
        (one.name, one.labels.get("le")): one.value for one in families["scanpost_send_duration_seconds"].samples
    }
    assert samples["scanpost_send_duration_seconds_bucket", "0.05"] == 1
    assert samples["scanpost_send_duration_seconds_bucket", "0.5"] == 3
    assert samples["scanpost_send_duration_seconds_bucket", "+Inf"] == 7
    assert samples["scanpost_send_duration_seconds_count", None] == 7
    assert samples["scanpost_send_duration_seconds_sum", None] == 9.5


def test_no_label_tells_of_a_patient_or_holds_a_uid(samples):
    allowed = "actor alert cause certificate le outcome priority result rule source state target version"
    assert set().union(*samples.values()) <= set(allowed.split())


@needs_promtool
def test_promtool_finds_nothing_to_say_about_the_metrics(text):
    code, said = promtool("check", "metrics", text=text)
    assert (code, said.strip()) == (0, "")


@needs_promtool
def test_promtool_takes_the_alerts():
    code, said = promtool("check", "rules", str(RULES))
    assert code == 0, said


def expressions():
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    board = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    yield "annotation", board["annotations"]["list"][0]["expr"]
    yield (
        "variable",
        board["templating"]["list"][1]["query"]["query"].replace("label_values(", "").replace(", instance)", ""),
    )


OWN = {"instance", "job"}  # Prometheus adds them itself
WORD = r"[a-zA-Z_]\w*"


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_exist(samples, where, expression):
    names = re.findall(r"scanpost_\w+", expression)
    assert names or "up{" in expression, f"{where} asks for nothing"
    known = set(OWN)
    for name in names:
        assert name in samples, f"{where}: there is no {name}"
        known |= samples[name]
    for name, inner in re.findall(r"(scanpost_\w+)\{([^}]*)\}", expression):
        for label in re.findall(rf"({WORD})\s*(?:=~|!=|!~|=)", inner):
            assert label in samples[name] | OWN, f"{where}: {name} has no label {label}"
    for group in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression):
        assert set(re.findall(WORD, group)) <= known, f"{where}: no label in ({group})"


def test_the_words_of_alerts_name_labels_that_their_metrics_have(samples):
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            known = set(OWN).union(*(samples.get(name, set()) for name in re.findall(r"scanpost_\w+", rule["expr"])))
            for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
                assert label in known, f"{rule['alert']}: {label}"


def test_the_page_about_metrics_names_every_metric_and_every_alert(text):
    page = (TOP / "docs/metrics.md").read_text("utf-8")
    kinds = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert [alert for alert in alerts if f"`{alert}`" not in page] == []
    assert set(re.findall(r"`(scanpost_\w+)`", page)) <= set(kinds), "the page names one that does not exist"
    assert set(re.findall(r"`(Scanpost\w+)`", page)) == set(alerts)


async def test_with_a_token_file_only_who_knows_the_token_sees_metrics(aiohttp_client, accounts, node, tmp_path):
    import dataclasses

    from webgui.app import init_app
    from webgui.config import WebConfig

    place = tmp_path / "token"
    client = await aiohttp_client(init_app(dataclasses.replace(WebConfig(), metrics_token_file=place), accounts, node))

    async def ask(token=None):
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return (await client.get("/metrics", headers=headers)).status

    assert await ask("") == 401, "an unreadable file opens nothing"
    place.write_text("\n")
    assert await ask("") == 401, "an empty file opens nothing"
    place.write_text("s3cret\n")
    assert [await ask(token) for token in (None, "", "other", "s3cret")] == [401, 401, 401, 200]
    place.write_text("changed\n")
    assert [await ask(token) for token in ("s3cret", "changed")] == [401, 200]


async def test_those_who_ask_within_a_second_share_one_look_at_the_node(node):
    looks, look, clock = [], node.measures, ManualClock()
    node.measures = lambda: looks.append(1) or look()
    hub = Hub(node, WebConfig(), clock)
    try:
        answers = await asyncio.gather(*(hub.measures() for _ in range(20)))
        assert (len(looks), {id(one) for one in answers}) == (1, {id(node.measured)})
        clock.advance(0.5)
        await hub.measures()
        assert len(looks) == 1
        clock.advance(0.6)
        await hub.measures()
        assert len(looks) == 2, "and nobody gets an old one"
    finally:
        hub.close()

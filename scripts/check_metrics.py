"""check_metrics.py: whether dashboards and alerts ask for metrics that the services record, and say what to do.

A metric's name in a panel or in an alert must be written in the sources; an alert must have an action and a section of
docs/operations.md to read on.
"""

import json
import pathlib
import re
import sys

import yaml

SUFFIXES = ("_bucket", "_sum", "_count")


def recorded():
    """Every name that the sources give a metric."""
    names = set()
    for folder in ("crates", "services"):
        for source in pathlib.Path(folder).rglob("src/**/*.rs"):
            names |= set(re.findall(r'(?:counter|gauge|histogram)!\(\s*"(medseg_[a-z_]+)"', source.read_text()))
    return names


def asked_for():
    """For each panel and alert: where it stands, and what it asks."""
    for file in sorted(pathlib.Path("deploy/observe/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]
    for rule in alerts():
        yield f"alert {rule['alert']}", rule["expr"]


def alerts():
    groups = yaml.safe_load(pathlib.Path("deploy/observe/alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def unknown_alerts(anchors):
    """Places that send somebody to an alert which there is not, or to one that docs/operations.md does not explain."""
    names = {rule["alert"] for rule in alerts()}
    told = {rule["alert"]: " ".join(rule.get("annotations", {}).values()) for rule in alerts()}
    for alert, words in told.items():
        for word in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", words):
            if word not in names:
                yield f"alert {alert} speaks of {word}, which is no alert"
    yield from (f"docs/operations.md does not explain {name}" for name in names if name.lower() not in anchors)


def unscraped():
    """Services of docker-compose.yml whose metrics are not collected where they are, and ports for them that strangers see."""
    services = yaml.safe_load(pathlib.Path("docker-compose.yml").read_text())["services"]
    ours = {name: service for name, service in services.items() if "build" in service}
    jobs = yaml.safe_load(pathlib.Path("deploy/observe/prometheus.yaml").read_text())["scrape_configs"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    for name, service in ours.items():
        if f"{name}:8081" not in targets:
            yield f"nobody collects the metrics of {name}"
        if any(str(port).endswith("8081") for port in service.get("ports", [])):
            yield f"the probes of {name} are published"
    yield from (f"Prometheus asks {target}, where nobody answers" for target in targets - {f"{name}:8081" for name in ours})


def main():
    known, used, faults = recorded(), set(), []
    for place, expression in asked_for():
        for name in re.findall(r"medseg_[a-z_]+", expression):
            base = next((name.removesuffix(end) for end in SUFFIXES if name.removesuffix(end) in known), name)
            used.add(base)
            if base not in known:
                faults.append(f"{place} asks for {name}, which nothing records")
    sections = re.findall(r"^#+ (.*)$", pathlib.Path("docs/operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in sections}
    for rule in alerts():
        notes = rule.get("annotations", {})
        file, _, anchor = notes.get("runbook", "").partition("#")
        if not notes.get("action") or file != "docs/operations.md" or anchor not in anchors:
            faults.append(f"alert {rule['alert']} does not say what to do, or its section is missing")
    faults += unknown_alerts(anchors)
    faults += unscraped()
    faults += [f"nobody looks at {name}" for name in sorted(known - used)]
    if faults:
        sys.exit("\n".join(f"error: {fault}" for fault in faults))
    print(f"metrics: {len(used)} are recorded, shown and watched")


if __name__ == "__main__":
    main()

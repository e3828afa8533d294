"""check_chart.py CHART: renders the chart with Helm's own engine and checks every manifest against Kubernetes' schemas.

Helm comes as a library (helm-sdkpy), which can install but not print. So the chart is installed into a small API server on
the loopback that accepts everything and remembers what it was sent.
"""

import asyncio
import collections
import http.server
import json
import pathlib
import sys
import tempfile
import threading
import warnings

import helm_sdkpy
import kubernetes_validate
import yaml

KUBERNETES = "1.31"
VALUES = {"image": {"repository": "registry.example/medseg"}, "secretName": "medseg"}
PER_SERVICE = {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"}
RESOURCES = {
    "v1": {
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "Secret": "secrets",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
    },
    "apps/v1": {"Deployment": "deployments"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
}


class Recorder(http.server.BaseHTTPRequestHandler):
    """As much of a Kubernetes API as an installation asks for."""

    protocol_version = "HTTP/1.1"
    manifests = []

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        group = path.removeprefix("/apis/").removeprefix("/api/")
        if path == "/version":
            major, minor = KUBERNETES.split(".")
            self.answer(200, {"major": major, "minor": minor, "gitVersion": f"v{KUBERNETES}.0"})
        elif path == "/api":
            self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()})
        elif group in RESOURCES:
            self.answer(200, {"kind": "APIResourceList", "groupVersion": group, "resources": resources(group)})
        elif path.endswith("/secrets"):
            self.answer(200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []})
        else:
            self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if "/secrets" in self.path:
            # The record of the release, in protobuf; not one of the chart's manifests.
            secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "release"}, "type": "helm.sh/release.v1"}
            return self.answer(201, secret)
        self.manifests.append(json.loads(body))
        return self.answer(201, self.manifests[-1])

    do_PUT = do_POST


def groups():
    names = (group.split("/") for group in RESOURCES if "/" in group)
    versions = ((name, {"groupVersion": f"{name}/{version}", "version": version}) for name, version in names)
    return [{"name": name, "versions": [version], "preferredVersion": version} for name, version in versions]


def resources(group):
    verbs = ["create", "get", "list", "patch", "delete"]
    return [
        {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
        for kind, plural in RESOURCES[group].items()
    ]


async def install(chart, values):
    """The manifests that the chart renders with `values`."""
    Recorder.manifests = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(config, file)
            file.flush()
            helm = helm_sdkpy.Install(helm_sdkpy.Configuration(namespace="default", kubeconfig=file.name))
            await helm.run("release", chart, values=values, wait=False)
    finally:
        server.shutdown()
    return Recorder.manifests


def refused(chart, values):
    """Whether the chart's schema refuses `values`."""
    try:
        asyncio.run(install(chart, values))
    except helm_sdkpy.HelmError:
        return True
    return False


def main():
    chart = sys.argv[1]
    manifests = asyncio.run(install(chart, VALUES))
    # Newer Kubernetes than the bundled schemas know is no fault of the chart.
    warnings.simplefilter("ignore")
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)

    services = yaml.safe_load((pathlib.Path(chart) / "values.yaml").read_text())["services"]
    kinds = collections.defaultdict(set)
    for manifest in manifests:
        kinds[manifest["metadata"]["name"].removeprefix("release-")].add(manifest["kind"])
    for name in services:
        missing = PER_SERVICE - kinds[name]
        if missing:
            sys.exit(f"error: the chart renders no {', '.join(sorted(missing))} for {name}")

    for wrong in ({}, {**VALUES, "secretName": ""}, {**VALUES, "services": {"gateway": {"replicas": "two", "resources": {}}}}):
        if not refused(chart, wrong):
            sys.exit(f"error: the chart's schema takes {wrong}")
    print(f"chart: {len(manifests)} manifests for {len(services)} services are sound")


if __name__ == "__main__":
    main()

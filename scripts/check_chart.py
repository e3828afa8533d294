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

import check_gke

KUBERNETES = "1.31"
# Kinds that come with other charts, and what a resource of each must say; Kubernetes' own schemas do not know them.
FOREIGN = {
    "Certificate": {"secretName", "dnsNames", "issuerRef"},
    "Gateway": {"gatewayClassName", "listeners"},
    "GCPBackendPolicy": {"targetRef", "default"},
    "HealthCheckPolicy": {"targetRef", "default"},
    "HTTPRoute": {"parentRefs", "hostnames", "rules"},
    "PodMonitoring": {"selector", "endpoints"},
    "ScaledObject": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers"},
    "TriggerAuthentication": {"secretTargetRef"},
}
PROBES = {"startupProbe", "readinessProbe", "livenessProbe"}
PER_SERVICE = {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"}
RESOURCES = {
    "v1": {
        "ConfigMap": "configmaps",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "Secret": "secrets",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
    },
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "batch/v1": {"CronJob": "cronjobs", "Job": "jobs"},
    "cert-manager.io/v1": {"Certificate": "certificates"},
    "gateway.networking.k8s.io/v1": {"Gateway": "gateways", "HTTPRoute": "httproutes"},
    "keda.sh/v1alpha1": {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"},
    "monitoring.googleapis.com/v1": {"PodMonitoring": "podmonitorings"},
    "networking.gke.io/v1": {"GCPBackendPolicy": "gcpbackendpolicies", "HealthCheckPolicy": "healthcheckpolicies"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
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


def pods(manifest):
    """The template of the pods that a manifest makes, if it makes any."""
    spec = manifest.get("spec", {})
    template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
    return [template["spec"]] if "containers" in template.get("spec", {}) else []


def faults_of_pod(spec, kind):
    """What keeps a pod from being as safe as all of them are to be."""
    security = spec.get("securityContext", {})
    if not (security.get("runAsNonRoot") and security.get("seccompProfile", {}).get("type") == "RuntimeDefault"):
        yield "may run as root, or without seccomp's default profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "is given a token of the cluster"
    for container in spec["containers"] + spec.get("initContainers", []):
        own, name = container.get("securityContext", {}), container["name"]
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name} keeps privileges"
        if not own.get("readOnlyRootFilesystem"):
            yield f"{name} may write to its image"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{name} has no limit of memory"
        if container["image"].endswith(":latest") or not {":", "@"} & set(container["image"].split("/")[-1]):
            yield f"{name} has an image of no version"
        probes = [container[probe].get("httpGet", {}) for probe in PROBES & container.keys()]
        if any("host" in probe for probe in probes):
            yield f"{name} is probed at an address of its node"
        if kind not in {"CronJob", "Job"} and container in spec["containers"]:
            for probe in sorted(PROBES - container.keys()):
                yield f"{name} has no {probe}"


def edges(manifests, key):
    """Who may connect to whom, as the network policies say it: on the caller's side (egress) or on the other (ingress)."""
    found = set()
    for policy in (manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"):
        here = policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/name")
        for rule in policy["spec"].get(key) or []:
            for peer in rule.get("from" if key == "ingress" else "to") or []:
                if "podSelector" in peer:
                    there = peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
                    found.add((there, here) if key == "ingress" else (here, there))
    return found


def faults_of_calls(spec):
    """Where a pod with a certificate does without it."""
    for container in spec["containers"]:
        env = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
        if "TLS_CERTIFICATE" not in env or "/tls" not in {mount["mountPath"] for mount in container["volumeMounts"]}:
            yield f"{container['name']} has no certificate"
        yield from (f"{name} is in the clear" for name, value in env.items() if value.startswith("http://release-"))


def unwatched(manifests):
    """The services whose metrics the network keeps from their collectors."""
    for policy in (manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"):
        allowed = [
            peer
            for rule in policy["spec"].get("ingress") or []
            for peer in rule.get("from") or []
            if {"port": "probes"} in rule["ports"] and "namespaceSelector" in peer
        ]
        if not allowed:
            yield policy["metadata"]["name"].removeprefix("release-")


def faults_of_inbox(manifests):
    """What would have instances of one study wait in two places, of which each makes a scan of its part."""
    inbox, callers = "release-inbox", []
    for manifest in manifests:
        kind, name, spec = manifest["kind"], manifest["metadata"]["name"], manifest.get("spec", {})
        if kind == "Deployment" and name == inbox:
            one = (spec.get("replicas"), spec.get("strategy", {}).get("type")) == (1, "Recreate")
            env = {entry["name"]: entry.get("value", "") for entry in spec["template"]["spec"]["containers"][0]["env"]}
            if not one or not env.get("DICOM_INBOX", "").startswith("/data/"):
                yield f"{name} is not one pod with its inbox on the volume"
        if kind in {"HorizontalPodAutoscaler", "ScaledObject"} and spec["scaleTargetRef"]["name"] == inbox:
            yield f"{name} makes several of the inbox"
        if kind == "Service" and name.endswith("-dicom") and spec["selector"].get("app.kubernetes.io/name") != "inbox":
            yield f"{name} leads scanners past the inbox"
        if kind == "Deployment" and name == "release-gateway":
            env = {entry["name"]: entry.get("value", "") for entry in spec["template"]["spec"]["containers"][0]["env"]}
            callers.append(env.get("INBOX_URL", "").partition("://")[2])
    if callers != [f"{inbox}:8080"]:
        yield f"the gateway sends instances to {callers}"


def check(chart, values, services):
    """Renders the chart with `values`; answers the manifests, which are sound."""
    manifests = asyncio.run(install(chart, values))
    faults = list(check_gke.faults(manifests, kube_version(chart), services))
    kinds = collections.defaultdict(set)
    for manifest in manifests:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if kind in FOREIGN:
            lacking = FOREIGN[kind] - manifest["spec"].keys()
            faults += [f"{kind} {name} lacks {', '.join(sorted(lacking))}"] if lacking else []
        else:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        kinds[name.removeprefix("release-")].add(kind)
        for spec in pods(manifest):
            faults += [f"{kind} {name}: {fault}" for fault in faults_of_pod(spec, kind)]
    for name in services:
        faults += [f"no {kind} for {name}" for kind in sorted(PER_SERVICE - kinds[name])]
    faults += faults_of_inbox(manifests)
    if "NetworkPolicy" not in kinds["default-deny"]:
        faults.append("what is not named is not forbidden")
    out, into = edges(manifests, "egress"), edges(manifests, "ingress")
    faults += [f"{caller} may call {other} on one side only" for caller, other in sorted(out ^ into)]
    peers = {(name, peer) for name, service in services.items() for peer in service.get("peers", [])}
    faults += [f"the network forbids {caller} to call {other}" for caller, other in sorted(peers - out)]
    if values.get("podMonitoring", {}).get("enabled"):
        faults += [f"nobody may read the metrics of {name}" for name in sorted(set(unwatched(manifests)) & services.keys())]
    if values.get("mutualTls", {}).get("enabled"):
        faults += [f"no Certificate for {name}" for name in services if "Certificate" not in kinds[name]]
        faults += faults_of_callers(manifests, peers)
        for manifest in manifests:
            label = manifest["metadata"].get("labels", {}).get("app.kubernetes.io/name")
            for spec in pods(manifest) if label in services else []:
                faults += [f"{manifest['metadata']['name']}: {fault}" for fault in faults_of_calls(spec)]
    if faults:
        sys.exit("\n".join(f"error: {fault}" for fault in faults))
    return manifests


def faults_of_callers(manifests, peers):
    """Services that answer others by TLS than those that the table of peers names."""
    for manifest in manifests:
        name = manifest["metadata"].get("labels", {}).get("app.kubernetes.io/name")
        wanted = sorted(caller for caller, peer in peers if peer == name)
        for spec in pods(manifest) if wanted and manifest["kind"] == "Deployment" else []:
            env = {entry["name"]: entry.get("value", "") for entry in spec["containers"][0].get("env", [])}
            said = sorted(caller.split("-", 1)[1] for caller in env.get("TLS_CALLERS", "").split(",") if caller)
            if said != wanted:
                yield f"{manifest['metadata']['name']}: TLS_CALLERS are {said}, and {wanted} call it"


def kube_version(chart):
    """The clusters that the chart takes."""
    return yaml.safe_load((pathlib.Path(chart) / "Chart.yaml").read_text())["kubeVersion"]


def main():
    chart = pathlib.Path(sys.argv[1])
    services = yaml.safe_load((chart / "values.yaml").read_text())["services"]
    # Newer Kubernetes than the bundled schemas know is no fault of the chart.
    warnings.simplefilter("ignore")
    for file in [*sorted((chart / "ci").glob("*-values.yaml")), *sorted(pathlib.Path("deploy/environments").glob("*.yaml"))]:
        values = yaml.safe_load(file.read_text())
        manifests = check(str(chart), values, services)
        if file.name == "gke-values.yaml" and (blind := list(check_gke.blind(manifests, kube_version(chart), services))):
            sys.exit("\n".join(f"error: {rule}" for rule in blind))
        # A hook is no part of an installation: as plain jobs they are seen.
        more = {"migrations": {"enabled": True, "hook": ""}, "mutualTls": {"enabled": True, "issuer": {"kind": "Issuer", "name": "mesh"}}}
        count = len(check(str(chart), {**values, **more}, services))
        print(f"chart: {file.name}: {count} manifests for {len(services)} services are sound")

    good = yaml.safe_load((chart / "ci/external-values.yaml").read_text())
    door = {"type": "ClusterIP", "port": 11112, "sources": ["10.0.0.0/8"]}
    unsound = [
        {},
        {**good, "secretName": ""},
        {**good, "services": {"gateway": {"replicas": "two", "resources": {}}}},
        {**good, "cloudSql": {"instance": "no-such-form"}},
        {**good, "ingress": {"enabled": True, "className": "nginx", "host": ""}},
        {**good, "ingress": {"enabled": True, "host": "medseg.example.org"}},
        {**good, "ingress": {"enabled": True, "className": "gce", "host": "medseg.example.org"}},
        {**good, "gateway": {"enabled": True, "host": "", "certificateMap": "medseg"}},
        {**good, "gateway": {"enabled": True, "host": "medseg.example.org"}},
        {**good, "gateway": {"enabled": True, "host": "medseg.example.org", "certificateMap": "medseg", "proxyCidrs": ["130.211.0.0"]}},
        {**good, "image": {**good["image"], "digests": {"gateway": f"sha256:{64 * '0'}"}}},
        {**good, "mutualTls": {"enabled": True}},
        {**good, "evaluation": {"enabled": True}},
        # Instances that wait in two pods, or in one that forgets them; scanners that are led past them, or are not known.
        {**good, "services": {"inbox": {"replicas": 2}}},
        {**good, "services": {"inbox": {"replicas": 0}}},
        {**good, "services": {"inbox": {"autoscale": {"min": 1, "max": 2, "cpuPercent": 70}}}},
        {**good, "services": {"inbox": {"dataSize": None}}},
        {**good, "services": {"inbox": None}},
        {**good, "services": {"ingest": {"dicom": door, "secretFiles": {"dicom-senders": "dicom-senders"}}}},
        {**good, "services": {"inbox": {"dicom": door}}},
    ]
    for wrong in unsound:
        if not refused(str(chart), wrong):
            sys.exit(f"error: the chart takes {wrong}")


if __name__ == "__main__":
    main()

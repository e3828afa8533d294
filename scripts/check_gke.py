"""What keeps the chart's manifests from serving on GKE, by rule; `check_chart.py` asks it of everything that it renders."""

import copy
import re

PROBES_PORT = 8081
# Uploads of gigabytes over a hospital's line, and the events of a scan that waits.
LONG_S = 1800
UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
GPU = "nvidia.com/gpu"
# Whence Google's load balancers hand requests on, and ask for health.
FRONT_ENDS = {"35.191.0.0/16", "130.211.0.0/22"}


def of_kind(manifests, *kinds):
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods(manifests):
    """Each template of a pod, with its manifest's name."""
    for manifest in of_kind(manifests, "Deployment", "StatefulSet", "Job"):
        yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def containers(spec):
    return spec["containers"] + spec.get("initContainers", [])


def size(quantity):
    number, unit = re.fullmatch(r"(\d+)(\D*)", str(quantity)).groups()
    return int(number) * UNITS[unit]


def faults_of_disk(manifests):
    """Pods that are evicted, or never placed, because nobody knows how much of a node's disk they take."""
    for name, spec in pods(manifests):
        limit = 0
        for container in containers(spec):
            resources = container.get("resources", {})
            for side in ("requests", "limits"):
                if "ephemeral-storage" not in resources.get(side, {}):
                    yield f"{name}: {container['name']} has no {side} of ephemeral storage"
            limit += size(resources.get("limits", {}).get("ephemeral-storage", 0))
        folders = [volume for volume in spec.get("volumes", []) if "emptyDir" in volume]
        yield from (f"{name}: {volume['name']} may fill the node" for volume in folders if "sizeLimit" not in volume["emptyDir"])
        if limit < sum(size(volume["emptyDir"].get("sizeLimit", 0)) for volume in folders):
            yield f"{name}: its folders may hold more than its limit of ephemeral storage"


def faults_of_gpus(manifests):
    """Workers that would calculate on the processor beside their GPU, without a word."""
    for name, spec in pods(manifests):
        for container in spec["containers"]:
            env = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
            if GPU not in container.get("resources", {}).get("limits", {}):
                continue
            if env.get("LD_LIBRARY_PATH") != "/usr/local/nvidia/lib64":
                yield f"{name}: the node's driver is not found"
            if not env.get("DEVICE", "").startswith("cuda:"):
                yield f"{name}: without a GPU it does not fail aloud"


def faults_of_version(manifests, kube_version):
    """What older clusters ignore, in silence."""
    oldest = tuple(int(part) for part in re.match(r">=(\d+)\.(\d+)", kube_version).groups())
    for name, spec in pods(manifests):
        if oldest < (1, 29) and any(one.get("restartPolicy") == "Always" for one in spec.get("initContainers", [])):
            yield f"{name}: its sidecar needs Kubernetes 1.29, and the chart takes {kube_version}"
        if oldest < (1, 30) and any("sleep" in one.get("lifecycle", {}).get("preStop", {}) for one in spec["containers"]):
            yield f"{name}: its pause before the end needs Kubernetes 1.30, and the chart takes {kube_version}"


def faults_of_services(manifests, services):
    """Services whose probes, metrics or logs are not where GKE looks for them."""
    for manifest in of_kind(manifests, "Deployment"):
        name = manifest["metadata"]["name"]
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            if container["name"] not in services:
                continue
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
            if ports.get("probes") != PROBES_PORT or env.get("PROBES") != f"0.0.0.0:{PROBES_PORT}":
                yield f"{name}: probes and metrics have no port of their own"
            asked = {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
            if asked != {"probes"}:
                yield f"{name}: probes are asked where people call"
            if env.get("LOG_FORMAT") != "json":
                yield f"{name}: its log has no severity that Cloud Logging reads"
    for monitoring in of_kind(manifests, "PodMonitoring"):
        if {endpoint["port"] for endpoint in monitoring["spec"]["endpoints"]} != {"probes"}:
            yield "metrics are collected where people call"


def faults_of_way_in(manifests):
    """Why nobody would reach the gateway through Google's load balancer, or not for long."""
    for ingress in of_kind(manifests, "Ingress"):
        if ingress["spec"].get("ingressClassName", "").startswith("gce"):
            yield "GKE's controller does not look at ingressClassName, and its load balancer ends uploads after 30 seconds"
    services = {manifest["metadata"]["name"]: manifest for manifest in of_kind(manifests, "Service")}
    trusted = {
        network
        for _, spec in pods(manifests) for container in spec["containers"] for entry in container.get("env", []) if entry["name"] == "TRUSTED_PROXIES"
        for network in entry["value"].split(",")
    }
    # Google's front ends, and the balancer's own address, which stands last in X-Forwarded-For.
    if of_kind(manifests, "Gateway") and not (FRONT_ENDS < trusted and any(network.endswith(("/32", "/128")) for network in trusted)):
        yield "the gateway takes the load balancer for all of its callers"
    for gateway in of_kind(manifests, "Gateway"):
        name = gateway["metadata"]["name"]
        listeners = {listener["name"]: listener for listener in gateway["spec"]["listeners"]}
        certified = "networking.gke.io/certmap" in gateway["metadata"].get("annotations", {})
        https = [one for one in listeners.values() if one["protocol"] == "HTTPS"]
        if not https or not all(certified or one.get("tls", {}).get("certificateRefs") for one in https):
            yield f"Gateway {name} has no certificate"
        routes = [route["spec"] for route in of_kind(manifests, "HTTPRoute")]
        for listener in listeners:
            on_it = [route for route in routes if {"name": name, "sectionName": listener} in route["parentRefs"]]
            rules = [rule for route in on_it for rule in route["rules"]]
            redirects = any(one["type"] == "RequestRedirect" for rule in rules for one in rule.get("filters", []))
            backends = [backend for rule in rules for backend in rule.get("backendRefs", [])]
            if listeners[listener]["protocol"] == "HTTP" and (backends or not redirects):
                yield f"Gateway {name} answers in the clear"
            if listeners[listener]["protocol"] == "HTTPS":
                if not backends:
                    yield f"Gateway {name} leads nowhere"
                for backend in backends:
                    yield from faults_of_backend(manifests, services.get(backend["name"]), backend)


def faults_of_backend(manifests, service, backend):
    """What Google's load balancer is told about the Service that a route leads to."""
    name = backend["name"]
    if service is None or backend["port"] not in [port["port"] for port in service["spec"]["ports"]]:
        yield f"the route leads to {name}:{backend['port']}, where nobody answers"
        return

    def policy(kind):
        target = {"group": "", "kind": "Service", "name": name}
        found = [one for one in of_kind(manifests, kind) if one["spec"]["targetRef"] == target]
        return found[0]["spec"]["default"] if found else {}

    if policy("GCPBackendPolicy").get("timeoutSec", 30) < LONG_S:
        yield f"uploads to {name}, and events from it, are cut off"
    check = policy("HealthCheckPolicy").get("config", {}).get("httpHealthCheck", {})
    if (check.get("portSpecification"), check.get("port"), check.get("requestPath")) != ("USE_FIXED_PORT", PROBES_PORT, "/readyz"):
        yield f"the health of {name} is asked where nobody answers"
    selector = service["spec"]["selector"]
    allowed = {
        peer["ipBlock"]["cidr"]
        for one in of_kind(manifests, "NetworkPolicy") if one["spec"]["podSelector"].get("matchLabels") == selector
        for rule in one["spec"].get("ingress") or [] if {"port": "probes"} in rule["ports"]
        for peer in rule.get("from") or [] if "ipBlock" in peer
    }
    if not FRONT_ENDS <= allowed:
        yield f"the network keeps Google's health checks from {name}"


def faults(manifests, kube_version, services):
    """All of them."""
    yield from faults_of_disk(manifests)
    yield from faults_of_gpus(manifests)
    yield from faults_of_version(manifests, kube_version)
    yield from faults_of_services(manifests, services)
    yield from faults_of_way_in(manifests)


def without(kind, **changes):
    """A change that leaves out a kind, or overwrites fields of it, given by their path."""

    def change(manifests):
        if not changes:
            return [one for one in manifests if one["kind"] != kind]
        for manifest in of_kind(manifests, kind):
            for path, value in changes.items():
                *way, last = path.split("__")
                place = manifest
                for step in way:
                    place = place[int(step)] if step.isdigit() else place.get(step, {})
                place[last] = value
        return manifests

    return change


def without_env(name):
    def change(manifests):
        for _, spec in pods(manifests):
            for container in spec["containers"]:
                container["env"] = [entry for entry in container.get("env", []) if entry["name"] != name]
        return manifests

    return change


def without_disk(manifests):
    for _, spec in pods(manifests):
        for container in containers(spec):
            container["resources"]["limits"].pop("ephemeral-storage", None)
    return manifests


# Each rule sees the fault that it is for: what is done to good manifests, and what must be said of them.
BROKEN = (
    (without_disk, "no limits of ephemeral storage"),
    (without_env("LD_LIBRARY_PATH"), "driver is not found"),
    (without_env("DEVICE"), "does not fail aloud"),
    (without_env("TRUSTED_PROXIES"), "takes the load balancer for all"),
    (without_env("PROBES"), "no port of their own"),
    (without_env("LOG_FORMAT"), "no severity"),
    (without("GCPBackendPolicy"), "are cut off"),
    (without("GCPBackendPolicy", spec__default__timeoutSec=30), "are cut off"),
    (without("HealthCheckPolicy"), "asked where nobody answers"),
    (without("HTTPRoute"), "leads nowhere"),
    (without("Gateway", metadata__annotations={}), "no certificate"),
    (without("NetworkPolicy", spec__ingress=[]), "keeps Google's health checks"),
    (without("PodMonitoring", spec__endpoints=[{"port": "http"}]), "collected where people call"),
)


def blind(manifests, kube_version, services):
    """The rules that do not see their fault in these manifests of GKE, which have none."""
    for change, said in BROKEN:
        seen = list(faults(change(copy.deepcopy(manifests)), kube_version, services))
        if not any(said in fault for fault in seen):
            yield f"no rule says {said!r} where it should: {seen[:3]}"
    if not list(faults_of_version(manifests, ">=1.28.0-0")):
        yield "no rule says that the chart takes clusters that are too old"

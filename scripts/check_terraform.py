"""check_terraform.py: whether deploy/terraform can be read, uses and describes what it declares, and fits the chart on GKE.

There is no Terraform in any package that the suite may fetch: nothing is planned here, and no provider is asked. Files are parsed by python-hcl2; names are
worked out with the values of example.tfvars, which are those of helm/medseg/ci/gke-values.yaml, and compared with what the chart is told there.
"""

import functools
import ipaddress
import json
import pathlib
import re
import sys

import hcl2
import jsonschema
import yaml

from simulate import merged

FOLDER = pathlib.Path("deploy/terraform")
CHART = pathlib.Path("helm/medseg")
EXAMPLE = "example.tfvars"


@functools.cache
def read(text):
    """A file as plain values: hcl2 keeps the quotes of what was quoted, and notes of its own."""

    def plain(value):
        if isinstance(value, dict):
            return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value

    return plain(hcl2.loads(text))


class Plan:
    """All files together, and what their expressions come to, as far as names go."""

    def __init__(self, texts):
        self.files = {name: read(text) for name, text in texts.items()}
        self.code = "\n".join(re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE) for name, text in texts.items() if name != EXAMPLE)
        self.variables = {name: one for block in self.blocks("variable") for name, one in block.items()}
        self.locals = {name: one for block in self.blocks("locals") for name, one in block.items()}
        self.outputs = {name: one for block in self.blocks("output") for name, one in block.items()}
        self.resources = {(kind, name): one for block in self.blocks("resource") for kind, named in block.items() for name, one in named.items()}
        self.data = {(kind, name) for block in self.blocks("data") for kind, named in block.items() for name in named}

    def blocks(self, kind):
        return [block for name, file in self.files.items() if name != EXAMPLE for block in file.get(kind, [])]

    def of(self, kind, name="medseg"):
        return self.resources.get((kind, name), {})

    def value(self, expression, key=None):
        """What an expression is, where `each.key` is `key`."""
        if isinstance(expression, dict):
            return {name: self.value(one, key) for name, one in expression.items()}
        if isinstance(expression, list):
            return [self.value(one, key) for one in expression]
        if not isinstance(expression, str):
            return expression
        whole = re.fullmatch(r"\$\{([^{}]*)\}", expression)
        if whole:
            return self.named(whole.group(1), key)
        return re.sub(r"\$\{([^{}]*)\}", lambda found: str(self.named(found.group(1), key)), expression)

    def named(self, name, key):
        if name == "each.key":
            return key
        kind, first, *rest = re.split(r"\.", name)
        if kind in ("var", "local"):
            declared = self.variables.get(first, {}).get("default") if kind == "var" else self.locals.get(first)
            value = self.value(self.files[EXAMPLE].get(first, declared) if kind == "var" else declared, key)
            for step in rest:
                value = value.get(step) if isinstance(value, dict) else None
            return value
        indexed = re.fullmatch(r'(\w+)\["?([\w.]+)"?\]', first)
        of, key = (indexed.group(1), key if indexed.group(2) == "each.key" else indexed.group(2)) if indexed else (first, key)
        return self.attribute(kind, of, rest[-1] if rest else "", key)

    def attribute(self, kind, name, attribute, key):
        block, project = self.of(kind, name), self.named("var.project", None)
        email = f"{self.value(block.get('account_id'), key)}@{project}.iam.gserviceaccount.com"
        known = {"email": email, "member": f"serviceAccount:{email}"}
        if kind == "google_service_account" and attribute in known:
            return known[attribute]
        # Google's to choose: that of the chart's example.
        if (kind, attribute) == ("google_compute_global_address", "address"):
            return "203.0.113.7"
        if attribute == "connection_name":
            return f"{project}:{self.value(block.get('region'))}:{self.value(block.get('name'))}"
        return self.value(block[attribute], key) if attribute in block else f"({kind}.{name}.{attribute})"


def faults_of_names(plan):
    """What is used and not there, there and not used, or not described."""
    used = lambda kind: set(re.findall(rf"\b{kind}\.(\w+)", plan.code))
    for kind, there in (("var", plan.variables), ("local", plan.locals)):
        yield from (f"{kind}.{name} is used, and declared nowhere" for name in sorted(used(kind) - set(there)))
        yield from (f"{kind}.{name} is declared, and used nowhere" for name in sorted(set(there) - used(kind)))
    for reference in sorted(set(re.findall(r"(\bdata\.)?\b(google_\w+)\.(\w+)", plan.code))):
        source, kind, name = reference
        if (kind, name) not in (plan.data if source else plan.resources):
            yield f"{source}{kind}.{name} is used, and declared nowhere"
    for name, one in {**plan.variables, **plan.outputs}.items():
        if not str(one.get("description", "")).endswith("."):
            yield f"{name} is not described"
    for name, one in plan.variables.items():
        if "type" not in one:
            yield f"var.{name} has no type"
        if "default" not in one and name not in plan.files[EXAMPLE]:
            yield f"{EXAMPLE} does not say {name}, which has no default"
    yield from (f"{EXAMPLE} says {name}, which is no variable" for name in plan.files[EXAMPLE] if name not in plan.variables)


def leaves(value, way=()):
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, (*way, key))
    else:
        yield way, value


def faults_of_values(plan, chart, gke):
    """Where the values that follow from here are not those that the chart is tried with, or none that it takes."""
    ours, theirs = dict(leaves(plan.value(plan.locals["values"]))), dict(leaves(gke))
    for way, value in ours.items():
        if way in theirs and theirs[way] != value:
            yield f"{'.'.join(way)} is {value}, and in the chart's values for GKE {theirs[way]}"
    for way, value in theirs.items():
        if (way[-1] in ("identity", "instance", "certificateMap") or str(value).startswith("gs://")) and way not in ours:
            yield f"nothing here makes {'.'.join(way)}"
    try:
        jsonschema.validate(merged(merged(chart, gke), plan.value(plan.locals["values"])), json.loads((CHART / "values.schema.json").read_text()))
    except jsonschema.ValidationError as error:
        yield f"the chart refuses the values that follow: {error.message}"


def faults_of_services(plan, chart):
    """Databases and accounts are those of the services that keep rows, and are lent to these alone."""
    keeping = sorted(name for name, service in chart["services"].items() if service.get("database"))
    services = plan.value(plan.locals["services"])
    if sorted(services) != keeping:
        yield f"there are databases and accounts for {services}, and the chart's services that keep rows are {keeping}"
    for service in services:
        member = plan.value(plan.of("google_service_account_iam_member", "service").get("member"), service)
        expected = f"[{plan.named('var.namespace', None)}/{plan.named('var.release', None)}-{service}]"
        if not str(member).endswith(expected):
            yield f"the account of {service} is lent to {member}, and the chart's service account is {expected}"
    for bucket, service in (("scans", "storage"), ("models", "registry")):
        lent = plan.of("google_storage_bucket_iam_member", bucket)
        if f"medseg-{service}@" not in str(plan.value(lent.get("member"))) or lent.get("role") != "roles/storage.objectUser":
            yield f"{service} may not use the bucket of {bucket}"


def one(block, *way):
    """The first of blocks in blocks."""
    for step in way:
        block = (block.get(step) or [{}])[0]
    return block


def faults_of_cluster(plan, chart, gke):
    """What the chart on GKE needs of cluster, network and database."""
    cluster, pool = plan.of("google_container_cluster"), plan.of("google_container_node_pool", "gpu")
    worker = merged(chart, gke)["services"]["inference"]
    if plan.value(one(cluster, "gateway_api_config").get("channel")) != "CHANNEL_STANDARD":
        yield "the cluster has no Gateway API"
    if "workload_pool" not in one(cluster, "workload_identity_config"):
        yield "the cluster has no workload identity"
    if cluster.get("datapath_provider") != "ADVANCED_DATAPATH":
        yield "network policies do not hold"
    if one(cluster, "monitoring_config", "managed_prometheus").get("enabled") is not True:
        yield "nobody collects metrics"
    if plan.value(one(pool, "autoscaling").get("total_max_node_count")) < worker["scaleOnQueue"]["max"]:
        yield "there are fewer GPU nodes than workers"
    config = one(pool, "node_config")
    if one(config, "taint").get("key") not in [toleration["key"] for toleration in worker["tolerations"]]:
        yield "workers do not tolerate the taint of GPU nodes"
    # What GKE keeps for itself comes off.
    if int(str(plan.value(config.get("machine_type"))).rsplit("-", 1)[-1]) <= int(worker["resources"]["requests"]["cpu"]):
        yield "a worker asks for more processors than a GPU node has to give"
    within = ipaddress.ip_network(chart["external"]["cidr"])
    for name, cidr in plan.value(plan.locals["ranges"]).items():
        if not ipaddress.ip_network(cidr if "/" in cidr else f"{cidr}/16").subnet_of(within):
            yield f"the range {name} is not within the chart's external.cidr"
    allowed = [str(address) for cidr in chart["external"]["objectStoreCidrs"] for address in ipaddress.ip_network(cidr)]
    if plan.of("google_dns_record_set", "private_googleapis").get("rrdatas") != allowed:
        yield "Google's interfaces are not where the chart lets pods go"
    settings = one(plan.of("google_sql_database_instance"), "settings")
    if settings.get("availability_type") != "REGIONAL" or one(settings, "backup_configuration").get("binary_log_enabled") is not True:
        yield "losing a zone, or a mistake, loses rows"
    if one(settings, "ip_configuration").get("ipv4_enabled") is not False:
        yield "the database has an address on the internet"


def faults(texts, chart, gke):
    try:
        plan = Plan(texts)
    except Exception as error:  # hcl2 has exceptions of several parsers.
        return [f"a file cannot be parsed: {str(error).splitlines()[0]}"]
    names = list(faults_of_names(plan))
    # What is not there has no value.
    return names or [*faults_of_values(plan, chart, gke), *faults_of_services(plan, chart), *faults_of_cluster(plan, chart, gke)]


# Each rule sees the fault that it is for: what is replaced in which file, and what must be said of it.
BROKEN = (
    ("main.tf", "provider \"google\" {", "provider \"google\" {{", "cannot be parsed"),
    ("entry.tf", "hostname     = var.host", "hostname     = var.hots", "var.hots is used"),
    ("entry.tf", "map          = google_certificate_manager_certificate_map.medseg", "map          = google_certificate_manager_certificate_map.other", "map.other is used"),
    ("cluster.tf", "var.node_type", "\"e2-standard-8\"", "var.node_type is declared, and used nowhere"),
    ("variables.tf", "description = \"The machines of everything but workers with GPUs.\"", "", "node_type is not described"),
    (EXAMPLE, "host           = \"medseg.example.org\"\n", "", "does not say host"),
    ("data.tf", "-medseg-models\"", "-models\"", "services.registry.env.BLOB_URL is gs://example-models"),
    ("identity.tf", "\"medseg-${each.key}\"", "\"${each.key}\"", "services.auth.identity is auth@"),
    ("identity.tf", "\"drift\", ", "", "the chart's services that keep rows"),
    ("identity.tf", "${var.release}-${each.key}]", "${each.key}-${var.release}]", "the chart's service account is"),
    ("identity.tf", "google_service_account.service[\"registry\"]", "google_service_account.service[\"drift\"]", "may not use the bucket of models"),
    ("values.tf", "objectStore = true", "objectStores = true", "refuses the values"),
    ("variables.tf", "max = 8", "max = 4", "fewer GPU nodes"),
    ("variables.tf", "g2-standard-8", "g2-standard-4", "more processors"),
    ("cluster.tf", "\"nvidia.com/gpu\"", "\"gpu\"", "do not tolerate"),
    ("network.tf", "10.20.0.0/14", "172.16.0.0/14", "the range pods"),
    ("network.tf", ", \"199.36.153.11\"", "", "lets pods go"),
    ("data.tf", "\"REGIONAL\"", "\"ZONAL\"", "loses rows"),
)


def main():
    texts = {file.name: file.read_text() for file in sorted(FOLDER.iterdir()) if file.suffix in (".tf", ".tfvars")}
    chart, gke = (yaml.safe_load((CHART / name).read_text()) for name in ("values.yaml", "ci/gke-values.yaml"))
    found = faults(texts, chart, gke)
    for name, good, bad, said in BROKEN if not found else ():
        seen = faults({**texts, name: texts[name].replace(good, bad)}, chart, gke)
        if good not in texts[name] or not any(said in fault for fault in seen):
            found.append(f"no rule says {said!r} where it should: {seen[:3]}")
    if found:
        sys.exit("\n".join(f"error: terraform: {fault}" for fault in found))
    print(f"terraform: {len(texts)} files can be read, and fit the chart; nothing was planned")


if __name__ == "__main__":
    main()

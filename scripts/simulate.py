"""simulate.py [OPTION…]: a day of many hospitals through the mesh, simulated: who waits, what is full first, what a scan costs.

It is a simulation, of no computer but this one. Times, mix and prices are those of scripts/simulation.yaml, of which each says where it comes from;
pods, their processors and how they are scaled are the chart's: helm/medseg/values.yaml with FILE of --values over it. The day is played with
these, and once more with the most pods that the peak would take. The same seed is the same day.
"""

import argparse
import json
import math
import pathlib
import random
import re
import sys

import yaml

import mesh_simulation
import simulation_report

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE.parent / "helm/medseg"
PEAK_S = 900
# How full the busiest quarter of an hour may make what is scaled: above that, waiting grows faster than the load.
FULL = 0.7


def merged(under, over):
    """Values as Helm lays them over each other: what is null over others is taken away."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    both = {**under, **over}
    return {key: merged(under[key], one) if key in under and key in over else one for key, one in both.items() if one is not None}


def chart(file):
    """The chart's services, and how it lets KEDA go down."""
    services = merged(yaml.safe_load((CHART / "values.yaml").read_text()), yaml.safe_load(file.read_text()))["services"]
    template = (CHART / "templates/services.yaml").read_text()
    down = re.search(r"stabilizationWindowSeconds: (\d+)\s+policies: \[{ type: Pods, value: (\d+), periodSeconds: (\d+) }\]", template)
    if not down:
        sys.exit("error: helm/medseg/templates/services.yaml does not say how KEDA goes down as it did: mend `chart` of scripts/simulate.py")
    return services, dict(zip(("down_s", "down_pods", "down_each_s"), map(int, down.groups())))


def cores(quantity):
    quantity = str(quantity)
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def gib(quantity):
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)", str(quantity)).groups()
    return int(number) * {"Ki": 2**-20, "Mi": 2**-10, "Gi": 1}[unit]


class Place:
    """A station as the chart and the table describe it."""

    def __init__(self, row, table, services, device, down):
        self.name, self.pods_of = row["name"], row.get("pods")
        self.priority = row.get("priority", False)
        if not self.pods_of:
            self.pods, self.servers, self.speed, self.scaling = row["cores"], 1, 1.0, None
            self.price, self.start_s = (table["prices"]["database_core"] if self.name == "database" else table["prices"]["core"]), 0
            return
        service = services[self.pods_of]
        request = service["resources"]["requests"]
        on_gpu = self.priority and device == "gpu"
        asked = cores(request["cpu"])
        model = table["times"]["predict"][device] if self.priority else None
        if model and device == "cpu":
            asked = model["cores"]
        # A worker is one model; of all else a pod has what it asks for, and no more.
        self.servers = 1 if model else max(1, int(asked))
        self.speed = 1.0 if model else asked / self.servers
        prices = table["prices"]
        self.price = asked * prices["core"] + gib(request["memory"]) * prices["gib"] + (prices["gpu"] if on_gpu else 0)
        self.start_s = table["start"]["gpu_pod_s" if on_gpu else "pod_s"]
        autoscale, on_queue = service.get("autoscale"), service.get("scaleOnQueue")
        self.pods, self.scaling = service["replicas"], None
        if autoscale:
            self.pods, self.scaling = autoscale["min"], {"least": autoscale["min"], "most": autoscale["max"], "cpu_percent": autoscale["cpuPercent"]}
        elif on_queue:
            self.pods = max(1, on_queue["min"])
            self.scaling = {"least": self.pods, "most": on_queue["max"], "jobs_per_pod": on_queue["jobsPerPod"], **down}

    @property
    def most(self):
        return self.scaling["most"] if self.scaling else self.pods

    def capacity(self):
        """Seconds of one core, or of a worker's model, that the most pods have in a second."""
        return self.most * self.servers * self.speed

    def grown(self, pods):
        if self.scaling:
            self.scaling["most"] = pods
        else:
            self.pods = pods

    def station(self):
        scaling = self.scaling and mesh_simulation.Scaling(**self.scaling)
        queue = mesh_simulation.Turns() if self.priority else None
        return mesh_simulation.Station(self.name, self.pods, self.servers, self.speed, scaling, self.start_s, queue)


def places(table, services, device, down):
    """The stations of the way, by name."""
    return {row["name"]: Place(row, table, services, device, down) for row in table["way"]}


def time_of(table, step, device):
    times = table["times"][step]
    times = times.get(device, times)
    return times["scan_ms"] / 1000, times["slice_ms"] / 1000


def arrivals(table, count, hospitals, seed, hours):
    """`count` scans a day, those that come within `hours`, by time."""
    day, chance = table["day"], random.Random(f"arrivals {seed}")
    sizes = [chance.lognormvariate(0, day["spread"]) for _ in range(hospitals)]
    series, shares = zip(*day["series"].items())
    each = sum(number * share for number, share in day["series"].items()) / sum(shares)
    kinds = list(table["mix"].values())
    kind_shares = [kind["share"] for kind in kinds]
    studies = round(count / each)
    drawn = zip(
        chance.choices(range(24), day["hours"], k=studies), chance.choices(range(hospitals), sizes, k=studies), chance.choices(series, shares, k=studies)
    )
    scans = []
    for hour, hospital, number in drawn:
        begun, urgent = (hour + chance.random()) * 3600, int(chance.random() * 100 < day["stat_percent"])
        if hours[0] * 3600 <= begun < hours[1] * 3600:
            for kind in chance.choices(kinds, kind_shares, k=number):
                slices = int(kind["slices"][0] + chance.random() * (kind["slices"][1] - kind["slices"][0] + 1))
                scans.append(mesh_simulation.Scan(begun, hospital, urgent, slices))
    scans.sort(key=lambda scan: scan.begun)
    return scans


def peaks(table, scans, device):
    """What each station is asked for in the busiest quarter of an hour: seconds of work in a second."""
    quarters = {}
    for scan in scans:
        quarter = quarters.setdefault(int(scan.begun // PEAK_S), [0, 0])
        quarter[0] += 1
        quarter[1] += scan.slices
    asked = {}
    for row in table["way"]:
        scan_s, slice_s = time_of(table, row["step"], device)
        per_quarter = asked.setdefault(row["name"], dict.fromkeys(quarters, 0))
        for quarter, (count, slices) in quarters.items():
            per_quarter[quarter] += (count * scan_s + slices * slice_s) / PEAK_S
    return {name: max(per_quarter.values()) for name, per_quarter in asked.items()}


def way(table, there, device, seed):
    """The stations with how long a scan takes at each step, and the step after which its result is there."""
    noise, chance = table["day"]["noise"], random.Random(f"times {seed}")
    # Many factors of mean one, drawn once.
    factors = [chance.lognormvariate(-noise * noise / 2, noise) for _ in range(4096)]
    drawn = chance.getrandbits
    stations = {name: place.station() for name, place in there.items()}

    def service(scan_s, slice_s):
        return lambda scan: (scan_s + slice_s * scan.slices) * factors[drawn(12)]

    steps = [(stations[row["name"]], service(*time_of(table, row["step"], device))) for row in table["way"]]
    return steps, next(index for index, row in enumerate(table["way"]) if row.get("readable"))


def percentiles(values):
    ordered = sorted(values)
    at = lambda part: round(ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)], 3) if ordered else None
    return {"p50": at(0.50), "p95": at(0.95), "p99": at(0.99)}


def played(table, there, scans, options):
    """Plays the day; what came of it, as a value that is printed, written and drawn."""
    for scan in scans:
        scan.step = 0
    steps, readable = way(table, there, options.device, options.seed)
    mesh = mesh_simulation.Mesh(steps, readable).run(scans)
    asked = peaks(table, scans, options.device)
    found = {
        "scans": mesh.arrived, "left": mesh.left, "slices": sum(scan.slices for scan in scans),
        "response_s": {kind: percentiles(values) for kind, values in zip(("routine", "stat"), mesh.responses)},
        "stations": {},
    }
    for station in mesh.stations:
        place, use = there[station.name], [one[3] for one in station.history]
        load = asked[station.name] / place.capacity()
        found["stations"][station.name] = {
            "pods_most_seen": max([one[2] for one in station.history], default=station.pods), "pods_most": place.most,
            "load_at_peak": round(load, 3), "full_at_scans_a_day": round(options.scans / load) if load else None,
            "saturated_at_s": station.saturated_at, "saturated_s": station.saturated_s, "use_mean": round(sum(use) / max(1, len(use)), 3),
            "waiting_most": max([one[1] for one in station.history], default=0),
            "wait_s": {kind: percentiles(values) for kind, values in zip(("routine", "stat"), station.waits)},
            "pod_hours": round(station.pod_s / 3600, 1), "cost": round(station.pod_s / 3600 * place.price, 2),
            "pods_wanted": math.ceil(asked[station.name] / (FULL * place.servers * place.speed)),
            # Every five minutes: when, how many wait, pods, how busy.
            "history": [[round(part, 3) for part in one] for one in station.history[:: 300 // mesh_simulation.TICK_S]],
        }
    hospitals = next(station.by_hospital for station in mesh.stations if station.by_hospital is not None)
    waits = sorted(percentiles(values)["p95"] for values in hospitals.values() if len(values) >= 20)
    found["p95_wait_by_hospital_s"] = {"median": waits[len(waits) // 2], "worst": waits[-1]} if waits else None
    found["cost"] = round(sum(one["cost"] for one in found["stations"].values()), 2)
    found["cost_per_1000_scans"] = round(1000 * found["cost"] / max(1, mesh.arrived), 3)
    saturated = [(one["saturated_at_s"], name) for name, one in found["stations"].items() if one["saturated_at_s"] is not None]
    found["first_saturated"] = min(saturated)[1] if saturated else None
    return found


def fuller(there, found):
    """Lets everything that the peak would fill have the pods that the peak takes; answers what was raised, and from what to what."""
    raised = {}
    for name, one in found["stations"].items():
        if one["load_at_peak"] > FULL:
            raised[name] = [there[name].most, one["pods_wanted"]]
            there[name].grown(one["pods_wanted"])
    return raised


def simulated(table, options):
    """The day with the chart's values, what is to be raised, and the day with that."""
    services, down = chart(options.values)
    there = places(table, services, options.device, down)
    scans = arrivals(table, options.scans, options.hospitals, options.seed, options.hours)
    if not scans:
        sys.exit("error: nothing comes within --hours: name more of them, or more --scans")
    found = {"seed": options.seed, "device": options.device, "values": options.values.name, "hours": options.hours, "currency": table["prices"]["currency"]}
    found["as_it_is"] = played(table, there, scans, options)
    found["raise"] = fuller(there, found["as_it_is"])
    if found["raise"]:
        found["raised"] = played(table, there, scans, options)
    return found


def hours(text):
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last) <= 24):
        raise argparse.ArgumentTypeError(f"{text} is no span of hours: say it like 6-12")
    return int(first), int(last)


def whole(text):
    if not (text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is no number of them")
    return int(text)


def options(table, words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=whole, default=table["day"]["scans"], help="how many come in a day (%(default)s)")
    parser.add_argument("--hospitals", type=whole, default=table["day"]["hospitals"], help="from how many (%(default)s)")
    parser.add_argument("--hours", type=hours, default=(0, 24), help="only what comes within these, such as 6-12, begun with the fewest pods (0-24)")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu", help="what workers calculate on (%(default)s)")
    parser.add_argument("--values", type=pathlib.Path, default=CHART / "ci/gke-values.yaml", help="the chart's values (helm/medseg/ci/gke-values.yaml)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same day (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for simulation.json and simulation.svg")
    return parser.parse_args(words)


def main():
    table = yaml.safe_load((HERE / "simulation.yaml").read_text())
    chosen = options(table)
    if not chosen.values.is_file():
        sys.exit(f"error: {chosen.values} is no file: --values names values of the chart, such as deploy/environments/production.yaml")
    found = simulated(table, chosen)
    print(simulation_report.text(found))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "simulation.json").write_text(json.dumps(found, indent=1) + "\n")
        (chosen.out / "simulation.svg").write_text(simulation_report.drawing(found.get("raised", found["as_it_is"]), found))
        print(f"simulation: {chosen.out}/simulation.json and {chosen.out}/simulation.svg")


if __name__ == "__main__":
    main()

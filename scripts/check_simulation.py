"""check_simulation.py: whether scripts/simulate.py can be believed: against queueing theory, and on a small day of its own."""

import json
import math
import pathlib
import random
import sys

import yaml

import mesh_simulation
import simulate
import simulation_report

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = {"measured", "derived", "assumed"}


def fail(words):
    sys.exit(f"error: simulation: {words}")


def near(what, found, expected, tolerance):
    if abs(found - expected) > tolerance * expected:
        fail(f"{what} is {found:.4f}, and theory says {expected:.4f}")


def mean(values):
    return sum(values) / len(values)


def poisson(chance, rate, count, urgent=0.0):
    """Scans that come by chance, so many a second."""
    now, scans = 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        scans.append(mesh_simulation.Scan(now, 0, int(chance.random() < urgent), 1))
    return scans


def one_station(scans, servers, service, queue=None):
    station = mesh_simulation.Station("station", servers, queue=queue)
    mesh_simulation.Mesh([(station, service)]).run(scans)
    return station


def erlang_c(servers, load):
    """How likely one must wait where `load` servers of `servers` are busy on average."""
    terms = [load**count / math.factorial(count) for count in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def theory():
    """M/M/4 (Erlang C) and M/M/1 with priorities (Cobham), each within what chance allows at this length."""
    chance, servers, rate = random.Random(1), 4, 3.0
    station = one_station(poisson(chance, rate, 120_000), servers, lambda _: chance.expovariate(1))
    near("the mean wait of M/M/4", mean(station.waits[0]), erlang_c(servers, rate) / (servers - rate), 0.06)
    rate, part = 0.7, 0.3
    scans = poisson(chance, rate, 120_000, urgent=part)
    station = one_station(scans, 1, lambda _: chance.expovariate(1), mesh_simulation.Turns())
    # What is in hand when one comes takes so long: the rate times half of the square's mean, which is 2.
    rest, urgent = rate, rate * part
    near("the mean wait of urgent scans", mean(station.waits[1]), rest / (1 - urgent), 0.06)
    near("the mean wait of the others", mean(station.waits[0]), rest / ((1 - urgent) * (1 - rate)), 0.06)


def turns():
    """A hospital that sends a thousand at once keeps another from nothing but what is in hand."""
    scans = [mesh_simulation.Scan(0.0, 1, 0, 1) for _ in range(1000)] + [mesh_simulation.Scan(0.5, 2, 0, 1)]
    station = one_station(scans, 2, lambda _: 1.0, mesh_simulation.Turns())
    if station.by_hospital[2] != [0.5] or len(station.by_hospital[1]) != 1000:
        fail(f"hospital 2 waits {station.by_hospital[2]} behind another's thousand scans")


def scaling():
    """Pods follow what waits within their bounds, and go one at a time, after it has been quiet for so long."""
    rule = mesh_simulation.Scaling(1, 8, jobs_per_pod=10, down_s=60, down_each_s=30, down_pods=1)
    seen, pods = [], 1
    for tick, waiting in enumerate([0, 95, 95] + [0] * 20):
        pods = rule.pods(tick * mesh_simulation.TICK_S, pods, 0, [waiting])
        seen.append(pods)
    falls = [tick for tick in range(1, len(seen)) if seen[tick] < seen[tick - 1]]
    if seen[:3] != [1, 5, 8] or falls[0] != 6 or any(later - earlier < 2 for earlier, later in zip(falls, falls[1:])) or seen[-1] != 1:
        fail(f"pods are scaled to {seen}")
    by_use = mesh_simulation.Scaling(2, 10, cpu_percent=70)
    if [by_use.pods(0, 4, use, []) for use in (0.70, 0.75, 1.0)] != [4, 4, 6]:
        fail("pods do not follow the processor as Kubernetes scales them")


def sources(table):
    """Each time says where it comes from, and what it quotes stands in docs/performance.md."""
    page = (ROOT / "docs/performance.md").read_text()
    for step, times in table["times"].items():
        for one in times.values() if "from" not in times else [times]:
            source, quote = one.get("from"), one.get("quote", "")
            if source not in SOURCES or (source == "derived" and not one.get("how")) or (source != "assumed" and not quote):
                fail(f"scripts/simulation.yaml does not say where the time of {step!r} comes from")
            if quote not in page:
                fail(f"the time of {step!r} quotes {quote!r}, which docs/performance.md does not have any more: follow it in scripts/simulation.yaml")


def small_day(table):
    """What comes in goes out, the same seed is the same day, and what is too small is named."""
    play = lambda seed, values=table: simulate.simulated(values, simulate.options(values, ["--scans", "6000", "--hours", "8-10", "--seed", str(seed)]))
    first, again, other = play(1), play(1), play(2)
    if json.dumps(first) != json.dumps(again) or first == other:
        fail("the same seed is another day, or another seed the same")
    day = first["as_it_is"]
    if not day["scans"] or day["left"] != day["scans"]:
        fail(f"{day['scans']} scans came, and {day['left']} left")
    if day["first_saturated"] is not None or first["raise"]:
        fail(f"a small day fills {day['first_saturated']}")
    slow = json.loads(json.dumps(table))
    slow["day"]["series"] = {int(number): share for number, share in slow["day"]["series"].items()}
    slow["times"]["accept"]["scan_ms"] = 20_000
    found = play(1, slow)
    if found["as_it_is"]["first_saturated"] != "storage" or list(found["raise"]) != ["storage"] or found["raised"]["stations"]["storage"]["load_at_peak"] > simulate.FULL:
        fail(f"storage was made slow, and full is {found['as_it_is']['first_saturated']}; raised is {found['raise']}")
    if "Full first: storage" not in simulation_report.text(found) or "<svg" not in simulation_report.drawing(found["raised"], found):
        fail("the report does not say what is full")


def main():
    table = yaml.safe_load((ROOT / "scripts/simulation.yaml").read_text())
    sources(table)
    theory()
    turns()
    scaling()
    small_day(table)
    print("simulation: waits are those of queueing theory, hospitals take turns, and all that comes in goes out")


if __name__ == "__main__":
    main()

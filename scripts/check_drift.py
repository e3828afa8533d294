"""check_drift.py URL DATABASE RATIO: each number that medseg says of two windows is Evidently's on the same rows, to 1e-9.

URL is where a medseg answers that closes windows every second, with MEDSEG_PASSWORD for its admin; DATABASE is the SQLite file of its
drift. Evidently computes on the rows that GET /v1/drift/rows.csv hands out, as a data scientist would; those of rows.parquet have to be
the same, and the discrepancy of embeddings, which Evidently has not, what NumPy makes of them. RATIO says how many times
faster medseg has to be. PYTHONPATH names Evidently. Asked for by check-drift.sh.
"""

import base64
import io
import json
import math
import os
import random
import sqlite3
import sys
import time
import uuid


import numpy
import pandas
from demo import call, sign_in
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

PATIENCE_S = 120
TOLERANCE = 1e-9
# What Evidently calls it, and what medseg does.
OF_NUMBERS = {"psi": "psi", "ks": "ks_p_value", "wasserstein": "wasserstein", "jensenshannon": "jensen_shannon"}
OF_CATEGORIES = {"psi": "psi", "jensenshannon": "jensen_shannon", "chisquare": "chi_squared_p_value"}
ROUNDS = 5
WIDTH = 32
DAY_MS = 24 * 3600 * 1000


def must(is_so, what):
    if not is_so:
        sys.exit(f"error: {what}")


def tenant_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["tenant"]


def scan(drawn, shift, embedded):
    """What a scan leaves: even and skewed numbers, many equal ones, few values, and some that are missing."""
    tumour = drawn.random() > 0.4
    features = {
        "mean": drawn.gauss(0.22 + 0.01 * shift, 0.03),
        "std": drawn.gauss(0.24, 0.03),
        "p01": drawn.expovariate(200),
        "p99": min(1.0, drawn.gauss(0.95, 0.08)),
        "sharpness": round(drawn.gauss(0.35 - 0.02 * shift, 0.05), 2),
        "background": drawn.betavariate(20, 20),
        "noise": drawn.gammavariate(9, 0.003),
        "echo_ms": drawn.choice([87.0, 120.0, 120.0, 140.0 + shift]),
        "slices": float(drawn.choice([1, 20, 24, 24, 30 + shift])),
        "constant": 0.5,
    }
    if drawn.random() < 0.1:
        features["std"] = None
    return {
        "features": features,
        "mask_fraction": drawn.expovariate(100) if tumour else 0.0,
        "confidence": 1 - drawn.expovariate(20),
        "model": {"name": "medseg-mr", "version": "1", "sha256": "ab"},
        "compute_ms": 80.5,
        **({"embedding": {"projection": "signs-32", "slices": 24, "values": [drawn.gauss(0.2 * shift, 1) for _ in range(WIDTH)]}} if embedded else {}),
        "answer": "found" if tumour else drawn.choice(["none_found", "none_found", "not_analysable"] if shift else ["none_found"]),
    }


def put(database, tenant, first_ms, kinds, drawn, shift, embedded=False):
    """Puts scans into the database, one for each kind of image."""
    rows = []
    for place, kind in enumerate(kinds):
        seen = scan(drawn, shift, embedded)
        answer = seen.pop("answer")
        seen |= {"image_kind": kind, "orientation": drawn.choice(["axial", "axial", "oblique"]), "sequence": drawn.choice(["SE/IR 2D", "IR 3D"])}
        event, of = str(uuid.UUID(int=drawn.getrandbits(128))), str(uuid.UUID(int=drawn.getrandbits(128)))
        rows.append((tenant, event, of, answer, first_ms + place, 120, json.dumps(seen), "medseg-mr", "1", kind, seen["mask_fraction"]))
    with database:
        database.executemany(
            "INSERT INTO observations (tenant_id, event_id, scan_id, answer, completed_ms, response_ms, observation, model_name,"
            " model_version, image_kind, mask_fraction) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def windows(url, token, count):
    end = time.monotonic() + PATIENCE_S
    while len(found := json.loads(call(f"{url}/v1/drift/windows?limit=200", token))["windows"]) < count:
        must(time.monotonic() < end, f"in {PATIENCE_S} s there are {len(found)} windows of {count}")
        time.sleep(0.2)
    must(len(found) == count, f"there are {len(found)} windows instead of {count}")
    return found[::-1]


def frame(url, token):
    """The rows, with all digits of each number, and with texts as texts."""
    return pandas.read_csv(
        io.BytesIO(call(f"{url}/v1/drift/rows.csv", token)), float_precision="round_trip",
        dtype={name: str for name in ("scan_id", "window_id", "answer", "model_version", "image_kind", "scanner", "site", "orientation", "sequence")},
    )


def same_as_parquet(url, token, rows):
    """The same rows, read from Parquet."""
    others = pandas.read_parquet(io.BytesIO(call(f"{url}/v1/drift/rows.parquet", token)))
    must(list(others.columns) == list(rows.columns), f"Parquet has other columns: {list(others.columns)}")
    must(str(others["completed_at"].dtype).startswith("datetime64"), f"times are {others['completed_at'].dtype} in Parquet")
    for name in rows.columns:
        mine, other = rows[name], others[name]
        if name == "completed_at":
            mine = pandas.to_datetime(mine, utc=True, format="ISO8601")
        same = (mine == other) | (mine.isna() & other.isna())
        must(same.all(), f"{name} is another in Parquet: {other[~same].head().tolist()} in place of {mine[~same].head().tolist()}")


def discrepancy(reference, current):
    """The squared maximum mean discrepancy (Gretton et al. 2012, unbiased) of the embeddings, sum by sum."""
    columns = [f"embedding_{place}" for place in range(WIDTH)]
    one, other = (sample[columns].to_numpy() for sample in (reference, current))
    both = numpy.concatenate([one, other])
    apart = ((both[:, None, :] - both[None, :, :]) ** 2).sum(axis=2)
    pairs = numpy.sort(apart[numpy.tril_indices(len(both), -1)])
    near = numpy.exp(-apart / (2 * pairs[len(pairs) // 2]))
    m, n = len(one), len(other)
    within = (near[:m, :m].sum() - m) / (m * (m - 1)) + (near[m:, m:].sum() - n) / (n * (n - 1))
    return within - 2 * near[:m, m:].sum() / (m * n)


def evidently(reference, current, numbers, categories):
    """What Evidently says, by column and method, and how long it takes."""
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    asked = [(column, method) for column in numbers for method in OF_NUMBERS]
    asked += [(column, method) for column in categories for method in OF_CATEGORIES]
    report = Report([ValueDrift(column=column, method=method) for column, method in asked])
    columns = numbers + categories
    begun = time.monotonic()
    of_current = Dataset.from_pandas(current[columns], data_definition=definition)
    of_reference = Dataset.from_pandas(reference[columns], data_definition=definition)
    said = report.run(of_current, of_reference).dict()["metrics"]
    took = time.monotonic() - begun
    must(len(said) == len(asked), f"Evidently says {len(said)} things of {len(asked)}")
    for (column, _), metric in zip(asked, said):
        must(metric["config"].get("column", column) == column, f"Evidently answers in another order: {metric}")
    return {key: float(metric["value"]) for key, metric in zip(asked, said)}, took


def medseg(url, token, a, b):
    """The same of medseg: the best of some rounds, as a reader waits for it."""
    took, said = math.inf, None
    for _ in range(ROUNDS):
        begun = time.monotonic()
        body = call(f"{url}/v1/drift/compare?a={a}&b={b}", token)
        took, said = min(took, time.monotonic() - begun), json.loads(body)
    numbers = {(one["name"], method): one[name] for one in said["features"] if one["psi"] is not None for method, name in OF_NUMBERS.items()}
    of_categories = {(one["name"], method): one[name] for one in said["categories"] for method, name in OF_CATEGORIES.items()}
    return {**numbers, **of_categories}, took


def compare(url, token, rows, a, b):
    """Compares two windows by both; answers how many numbers were compared, by how much they are off at most, and both times."""
    reference, current = (rows[rows["window_id"] == window["id"]] for window in (a, b))
    must(len(reference) == a["scans"] and len(current) == b["scans"], "rows and windows have different scans")
    ours, our_s = medseg(url, token, a["id"], b["id"])
    numbers = sorted({column for column, method in ours if method == "ks"})
    must({"mean", "sharpness", "noise", "echo_ms", "mask_fraction", "confidence"} <= set(numbers), f"features: {numbers}")
    # Of one value there is nothing to test.
    categories = [name for name in ("answer", "image_kind", "orientation", "sequence") if len(set(reference[name]) | set(current[name])) > 1]
    theirs, their_s = evidently(reference, current, numbers, categories)
    off = 0.0
    for key, value in theirs.items():
        mine = ours[key]
        must(mine is not None and abs(mine - value) <= TOLERANCE, f"{key}: medseg says {mine}, Evidently {value}")
        off = max(off, abs(mine - value))
    return len(theirs), off, our_s, their_s


def compare_embeddings(url, token, rows, a, b):
    """Of two windows whose scans have embeddings, which Evidently would not compare."""
    said = json.loads(call(f"{url}/v1/drift/compare?a={a['id']}&b={b['id']}", token))["features"]
    feature = next(one for one in said if one["name"] == "embedding")
    value = discrepancy(*(rows[rows["window_id"] == window["id"]] for window in (a, b)))
    mine = feature["mmd2"]
    must(abs(mine - value) <= TOLERANCE, f"the discrepancy of embeddings: medseg says {mine}, NumPy {value}")
    must(feature["mmd_p_value"] == 0.0001 and feature["verdict"] == "drift", f"embeddings that have moved are {feature}")
    return abs(mine - value)


def main():
    url, path, ratio = sys.argv[1], sys.argv[2], float(sys.argv[3])
    token = sign_in(url, os.environ["MEDSEG_PASSWORD"])
    tenant, drawn = tenant_of(token), random.Random(17)
    database = sqlite3.connect(path, timeout=30)
    start_ms = int(time.time() * 1000) - DAY_MS
    # Two windows of the same size, and one whose size has no divisor in common with theirs.
    put(database, tenant, start_ms, ["flair"] * 1000, drawn, 0)
    windows(url, token, 2)
    put(database, tenant, start_ms + 10_000, ["flair"] * 437, drawn, 2)
    # Of another kind, and few.
    put(database, tenant, start_ms + 20_000, ["t1_contrast"] * 31, drawn, 1)
    windows(url, token, 4)
    # Two that say where their scans lie in a network.
    put(database, tenant, start_ms + 30_000, ["other"] * 60, drawn, 0, embedded=True)
    windows(url, token, 5)
    put(database, tenant, start_ms + 40_000, ["other"] * 60, drawn, 3, embedded=True)
    database.close()
    closed, rows = windows(url, token, 6), frame(url, token)
    must(sorted(window["scans"] for window in closed) == [31, 60, 60, 437, 500, 500], f"windows of {[one['scans'] for one in closed]} scans")
    same_as_parquet(url, token, rows)
    evidently(rows, rows, ["mean"], ["answer"])  # Its first run loads what the others need.
    compared, off, ours, theirs = 0, 0.0, 0.0, 0.0
    for a, b in ((0, 1), (0, 2), (2, 1), (1, 3), (3, 0)):
        count, worst, our_s, their_s = compare(url, token, rows, closed[a], closed[b])
        compared, off, ours, theirs = compared + count, max(off, worst), ours + our_s, theirs + their_s
    beside = compare_embeddings(url, token, rows, closed[4], closed[5])
    times = theirs / ours
    print(f"drift: {compared} numbers of five pairs of windows are Evidently's to {off:.1e};"
          f" {1000 * ours / 5:.0f} ms a pair, Evidently {1000 * theirs / 5:.0f} ms: {times:.0f} times as fast")
    print(f"drift: the discrepancy of embeddings is NumPy's to {beside:.1e}, and Parquet has the very rows of CSV")
    must(times >= ratio, f"only {times:.1f} times as fast as Evidently, where {ratio:.0f} are asked for")


if __name__ == "__main__":
    main()

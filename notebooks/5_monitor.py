# %% [markdown]
# # Reading quality and drift
#
# What readers say tells how good the answers are; what images look like tells whether they are still those that the model learned from. This
# notebook plays both on phantoms, whose truth is known. Run it on a medseg of your own: it
# gives verdicts.

# %%
import io
import math
import os

from client import WORK, Medseg, phantom, until

medseg = Medseg()
COUNT = 32

# %% [markdown]
# ## Scans, and a reader who knows the truth

# %%
truths = {}
for seed in range(100, 100 + COUNT):
    healthy = ["--no-lesion"] if seed % 4 == 0 else []
    phantom("one.png", "--seed", str(seed), *healthy)
    truths[medseg.send((WORK / "one.png").read_bytes())] = "no_tumour" if healthy else "tumour"
answers = {scan: medseg.result(scan)["answer"] for scan in truths}

SAYS = {"found": "tumour", "none_found": "no_tumour"}
for scan, truth in truths.items():
    if answers[scan] in SAYS:
        medseg.say(scan, verdict="agree" if SAYS[answers[scan]] == truth else "reject", truth=truth)
right = sum(SAYS.get(answers[scan]) == truth for scan, truth in truths.items())
print(f"{right} of {COUNT} answers are right")

# %% [markdown]
# ## Live quality
#
# Figures are by scan, and of the latest word of each reader. They come a moment later: what was said goes through events.

# %%
judged = sum(answer in SAYS for answer in answers.values())


def figures():
    group = max(medseg.get("quality", by="model")["groups"], key=lambda group: group["reviewed"], default=None)
    return group if group and group["reviewed"] >= judged else None


group = until("all verdicts are counted", figures)
print(f"{group['name']}: {group['reviewed']} of {group['scans']} scans reviewed")
for name, words in (("far", "of scans without a tumour one was found in"), ("frr", "of scans with one it was missed in")):
    if rate := group[name]:
        print(f"  {words} {rate['count']} of {rate['of']}: {rate['rate']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})")
for remark in medseg.get("quality", by="model")["remarks"]:
    print("  note:", remark)

# %% [markdown]
# ## What the interval says
#
# Wilson's, by hand. From eight healthy scans nobody knows a false acceptance rate: none wrong of eight still leaves a third possible. Before you
# compare two models by such figures, look whether their intervals overlap.

# %%


def wilson(count, of, z=1.959963984540054):
    middle = (count + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(count * (of - count) / of + z * z / 4)
    return max(0, middle - half), min(1, middle + half)


for name in ("far", "frr"):
    if rate := group[name]:
        low, high = wilson(rate["count"], rate["of"])
        assert abs(low - rate["low"]) < 1e-9 and abs(high - rate["high"]) < 1e-9, (rate, low, high)
print("none of 8:", [round(end, 2) for end in wilson(0, 8)])

# %% [markdown]
# ## What nobody reviewed
#
# What is reviewed is not drawn by chance: readers look at what they doubt, so figures look worse than the model is, or better, where only easy
# scans are looked at. `share_reviewed` stands beside each figure. For a fair one, have a
# sample reviewed that somebody has drawn: all scans of every tenth day, say.

# %%
for by in ("week", "kind", "size"):
    for one in medseg.get("quality", by=by)["groups"]:
        print(by, one["name"], "reviewed", one["reviewed"], "of", one["scans"])

# %% [markdown]
# ## Drift
#
# Each feature of the window beside what the model was trained on. PSI says how far shares have moved, the p-value of Kolmogorov and Smirnov
# whether chance alone would do that. Phantoms are no patients: a model that
# learned from patients sees them drift, and is right.

# %%
report = medseg.call("POST", "drift/reports", json={}).json()
print(report["verdict"], "over", report["scans"], "scans;", report["answers"])
for feature in report["features"]:
    judged_by = f"beyond training {feature['beyond']:.0%}" if feature["beyond"] is not None else f"PSI {feature['psi']}  p {feature['ks_p_value']}"
    print(f"  {feature['name']:13} {feature['verdict']:14} {judged_by}  median {feature['median']} ({feature['reference_median']})")
assert report["scans"] >= judged
assert report["verdict"] in ("no_reference", "too_few_scans", "stable", "watch", "drift")

page = medseg.call("GET", f"drift/reports/{report['id']}.html").text
(WORK / "drift.html").write_text(page)
print("with plots:", os.fspath(WORK / "drift.html"))

# %% [markdown]
# ## Windows, and the scans that carry a difference
#
# On a schedule medseg closes windows by itself, once thirty scans of one model, kind of image, scanner and site have come, and tells when they drift.
# A new server has none yet. `embedding` is what the network sees; without a verdict, the model's reference tells nothing of such scans.

# %%
for window in medseg.get("drift/windows")["windows"]:
    print(window["number"], window["image_kind"], window["scanner"], window["verdict"], "over", window["scans"], "scans")
    shown = medseg.get(f"drift/windows/{window['id']}", carriers=3)
    for carrier in shown["carriers"]:
        print(f"  {carrier['scan_id']} carries {carrier['contribution']:.0%} of {', '.join(shown['carried_by']) or 'nothing'}")

# %% [markdown]
# ## The same rows, in a frame of your own
#
# A row for each scan, a column for each feature and each figure of its embedding, as Parquet or CSV. Evidently finds on them the numbers that
# medseg says of two windows. Here the earlier half stands for the training.

# %%
os.environ.setdefault("DO_NOT_TRACK", "1")
try:
    import pandas
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift
except ImportError:
    pandas = None
    print("to go on: pip install evidently pyarrow")

if pandas is not None:
    frame = pandas.read_parquet(io.BytesIO(medseg.call("GET", "drift/rows.parquet").content))
    frame = frame[frame["scan_id"].isin(list(truths))]
    assert len(frame) >= judged, len(frame)
    print(frame.groupby("answer")[["mean", "sharpness", "background", "noise"]].median())
    # How they were taken: what a site sets for all of its scans, as far as their files say it.
    print(frame.groupby(["rows", "columns", "orientation", "sequence"], dropna=False).size())
    columns = ["mean", "std", "sharpness", "background", "noise"]
    earlier, later = frame.iloc[: len(frame) // 2], frame.iloc[len(frame) // 2 :]
    definition = DataDefinition(numerical_columns=columns)
    halves = [Dataset.from_pandas(half[columns], data_definition=definition) for half in (later, earlier)]
    said = Report([ValueDrift(column=column, method="psi") for column in columns]).run(*halves).dict()["metrics"]
    for column, metric in zip(columns, said):
        print(f"  {column:12} PSI {float(metric['value']):.3f}")

# %% [markdown]
# ## What to do with it
#
# 1. One feature, or all? One kind of image (`by=kind`), or every kind? Since when (`by=week`)?
# 2. Look at scans of these days with a reader. What changed: a scanner, a protocol, who sends?
# 3. Drift alone says that images are other images. Whether answers became worse, quality tells: let a sample be reviewed before anything is
#    rolled back.
# 4. The scans that were corrected are what the next model learns from: `medseg dataset export --from`.

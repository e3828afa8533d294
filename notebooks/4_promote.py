# %% [markdown]
# # Measuring and promoting
#
# From a folder with a model to a version that may serve. Only on a medseg of your own: the model of the notebook before learned from phantoms and
# must judge nobody.

# %%
import csv
import json
import os

from client import WORK, Medseg, Refused, program, until

medseg = Medseg()
run = WORK / "pipeline"
settings = (run / "params.yaml").read_text()
assert "source: phantoms" in settings, "this notebook retires what it registers"

# %% [markdown]
# ## Measure it on patients whom it does not know
#
# `--split test`: nobody there was learned from or chosen on. How many they are stands beside each figure; of so few, an interval says more than a
# mean.

# %%
program(
    "medseg", "evaluate", "--manifest", "data/prepared", "--split", "test", "--model", "data/model", "--metrics", "../metrics.json",
    "--table", "../dice.csv", "--worst", "../worst", "--plot", "../dice.svg", where=run,
    env={name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")},
)
metrics = json.loads((WORK / "metrics.json").read_text())
print(f"Dice {metrics['dice_mean']:.3f} on {metrics['patients']} patients, {metrics['slices']} slices")
with open(WORK / "dice.csv", newline="") as table:
    patients = list(csv.DictReader(table))
print("the worst first:", patients)
assert len(patients) == metrics["patients"]

# %% [markdown]
# ## Register it
#
# The registry signs a version; it never changes. Registered once more it is the same.

# %%
print(program("medseg", "model", "import", run / "data/model", "--source", "a notebook"))
versions = medseg.get("models")["versions"]
for one in versions:
    print(one["name"], one["version"], one["state"], "data", one["data_version"])
ours = next(one for one in versions if one["source"] == "a notebook")
address = f"models/{ours['name']}/{ours['version']}"

# %% [markdown]
# ## Let it look on
#
# A shadow sees what is served, after the answer is out. Its answers go nowhere but into this comparison.

# %%
if ours["state"] == "registered":
    medseg.call("POST", f"{address}/shadow", json={"reason": "the notebook"})
print(medseg.get(f"{address}/shadow"))

# %% [markdown]
# ## Ask the gate
#
# A worker that follows the registry evaluates each new version on phantoms of each kind of image, forty with a tumour and forty without, while no scan waits. The gate
# refuses what was not evaluated, what does not come to
# the same mask as where it was made, what is too slow, and what is worse than what serves, beyond chance.

# %%
wait_s = float(os.environ.get("NOTEBOOKS_GATE_S", "600"))
try:
    ours = until("it is evaluated", lambda: (now := medseg.get(address)).get("evaluation") and now, wait_s)
    print({name: ours["evaluation"][name] for name in ("gate_set", "dice", "far", "frr", "kinds", "ms_per_slice")})
except TimeoutError:
    print("no worker has evaluated it: one with a pinned model (--model-url) evaluates nothing")

try:
    decision = medseg.call("POST", f"{address}/promote", json={"force": False, "reason": "the notebook"}).json()
except Refused as refused:
    assert refused.status == 409, refused
    decision = refused.problem
for check in decision.get("checks", []):
    print("passed " if check["passed"] else "refused", check["name"], check["words"], check["candidate"], check["serving"])

# %% [markdown]
# ## Tidy up
#
# What learned from phantoms does not stay. What was done, and by whom, does: nothing of the history goes.

# %%
if medseg.get(address)["state"] == "serving":
    medseg.call("POST", f"{address}/roll-back", json={"reason": "it learned from phantoms"})
if medseg.get(address)["state"] != "retired":
    medseg.call("POST", f"{address}/retire", json={"reason": "it learned from phantoms"})
for event in medseg.get("model-events")["events"][:5]:
    print(event["at"], event["action"], event["name"], event["version"], event["reason"])
assert medseg.get(address)["state"] == "retired"

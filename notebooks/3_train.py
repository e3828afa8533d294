# %% [markdown]
# # Training with DVC and MLflow
#
# The pipeline of `dvc.yaml`, as it stands: it makes phantoms, trains on them, measures and lays the model down. That takes a minute, and the
# model is good for nothing but
# showing that all parts work. With data of your own name it in `prepare.source`.
#
# DVC is needed (`pip install 'dvc[s3,gs]'`); with MLFLOW_TRACKING_URI set, runs go to that MLflow.

# %%
import json
import os
import shutil

import yaml

from client import ROOT, WORK, program

run = WORK / "pipeline"
# To register is the next notebook's.
env = {name: value for name, value in os.environ.items() if name != "MEDSEG_URL"}

# %% [markdown]
# ## A copy to work in
#
# The pipeline and its settings are under git, data and models under DVC: git keeps `dvc.lock`, which names their digests.

# %%
if not run.exists():
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "scripts/pipeline"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, run / name)
    program("git", "init", "--quiet", where=run)
    program("git", "add", "--all", where=run)
    program("git", "-c", "user.name=notebook", "-c", "user.email=notebook@localhost", "commit", "--quiet", "--message", "the pipeline", where=run)

# %% [markdown]
# ## What it is made with

# %%
settings = yaml.safe_load((run / "params.yaml").read_text())
if os.environ.get("NOTEBOOKS_QUICK"):
    # As little as is a model: the suite wants to know that it goes, not how well.
    settings["prepare"]["patients"] = 6
    settings["train"].update(views=8, phantoms=2, judged_phantoms=0)
    (run / "params.yaml").write_text(yaml.safe_dump(settings))
print(yaml.safe_dump(settings))

# %% [markdown]
# ## Make it
#
# What is up to date is not made again. A stage that fails leaves `dvc.lock` as it was.

# %%
print(program("dvc", "repro", where=run, env=env)[-1500:])
print(program("dvc", "status", where=run, env=env))
metrics = json.loads((run / "data/evaluation/metrics.json").read_text())
print(metrics)
assert metrics["patients"] > 0 and (run / "data/model/weights.safetensors").is_file()

# %% [markdown]
# ## The card
#
# It says what the model was made of, on whom it was measured, and what nobody knows. Read it before you believe a figure.

# %%
card = (run / "data/model/card.md").read_text()
print(card[:1200])
version = program("medseg", "dataset", "version", "data/prepared", where=run).strip()
assert version in card

# %% [markdown]
# ## The run in MLflow
#
# Parameters, metrics by step, files; and a version in MLflow's registry with the alias `challenger`, which `medseg model import
# mlflow:NAME@challenger` takes from there.

# %%
if os.environ.get("MLFLOW_TRACKING_URI"):
    from mlflow import MlflowClient

    mlflow = MlflowClient()
    experiment = mlflow.get_experiment_by_name("medseg")
    trained = [one for one in mlflow.search_runs([experiment.experiment_id]) if "loss" in one.data.metrics]
    for one in trained:
        losses = [point.value for point in mlflow.get_metric_history(one.info.run_id, "loss")]
        print(one.info.run_name, one.info.status, f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} points")
    challenger = mlflow.get_model_version_by_alias(settings["train"]["name"], "challenger")
    print(challenger.name, "version", challenger.version, "of run", challenger.run_id)
    assert challenger.run_id in {one.info.run_id for one in trained}

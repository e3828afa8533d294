"""check_mlflow.py PROGRAMS URL: what MLflow's own client finds after medseg has trained, on a server that is cut off and killed runs.

PROGRAMS is the folder of the built programs; URL is where a medseg answers that takes models, with MEDSEG_PASSWORD for its
admin. PYTHONPATH names MLflow. Asked for by check-mlflow.sh.
"""

import contextlib
import json
import math
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent / "documented"))
os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false", GIT_PYTHON_REFRESH="quiet")

import mlflow
import subcommands
from running import REPOSITORY, Failed, Place

PATIENCE_S = 240
# The least that is a run, and one that lasts a while.
TINY = ["--side", "64", "--batch", "2", "--replicas", "1", "--phantoms", "2", "--judged-phantoms", "0", "--device", "cpu"]
SHORT, LONG = ["--views", "4"], ["--minutes", "0.4", "--checkpoint-minutes", "0.05"]
MODEL = {"model.json", "weights.safetensors", "card.md", "reference.json", "reliability.svg", "golden.pbm"}


class Server:
    """MLflow on a port and a folder that stay the same when it is started anew."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination", f"{self.folder}/files",
        ]
        with (self.folder / "log").open("a") as log:
            # A session of its own: its workers end with it.
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        until("MLflow answers", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise Failed(f"MLflow did not start: {(self.folder / 'log').read_text()[-800:]}")
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200
        return False

    def stop(self):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def until(what, is_so):
    """What `is_so` answers, once that is something."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := is_so()):
        if time.monotonic() > end:
            raise Failed(f"in {PATIENCE_S} s it does not come that {what}")
        time.sleep(0.2)
    return answer


def must(is_so, what):
    if not is_so:
        raise Failed(what)


class Check:
    def __init__(self, place, server, medseg_url):
        self.place, self.server, self.medseg_url = place, server, medseg_url
        self.medseg = place.program("medseg")
        self.client = mlflow.MlflowClient(tracking_uri=server.url, registry_uri=server.url)
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        self.labelled = place.folder / subcommands.manifest(place, 6)

    def command(self, run, *options, name="tiny"):
        return [
            self.medseg, "train", "--manifest", self.labelled, *TINY, "--run", run, "--out", f"{run}-model", "--name", name,
            "--mlflow", self.server.url, "--mlflow-run-name", run, *options,
        ]

    def run_of(self, name):
        """The one run of that name."""
        experiment = self.client.get_experiment_by_name("medseg")
        found = experiment and self.client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
        must(not found or len(found) == 1, f"there are {len(found or [])} runs {name}")
        return found[0] if found else None

    def files_of(self, run, path):
        return {pathlib.PurePosixPath(file.path).name for file in self.client.list_artifacts(run.info.run_id, path)}

    def history(self, run, metric):
        return self.client.get_metric_history(run.info.run_id, metric)

    def kept(self, run):
        """What is kept beside a run: metrics that the server must have."""
        lines = (self.place.folder / run / "tracking/metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def all_arrived(self, name):
        run, kept = self.run_of(name), self.kept(name)
        for metric in {point["name"] for point in kept}:
            here = sorted((point["step"], point["at_ms"], point["value"]) for point in kept if point["name"] == metric)
            there = sorted((point.step, point.timestamp, point.value) for point in self.history(run, metric))
            # MLflow tells its numbers with fifteen digits.
            same = len(here) == len(there) and all(
                kept[:2] == told[:2] and math.isclose(kept[2], told[2], rel_tol=1e-12) for kept, told in zip(here, there)
            )
            must(same, f"{name}: of {metric} MLflow has {there}, and {here} is kept")
        return run

    def versions(self, run):
        return self.client.search_model_versions(f"run_id = '{run.info.run_id}'")

    def a_run(self):
        """Parameters, metrics, tags, files, a version with its alias; and no picture of anybody."""
        self.place.good(*self.command("first", *SHORT), env={"GIT_DIR": str(REPOSITORY / ".git")})
        run = self.all_arrived("first")
        must(run.info.status == "FINISHED", f"the run is {run.info.status}")
        data = run.data
        must(data.params.get("batch") == "2" and data.params.get("training_patients") == "5", f"parameters: {data.params}")
        metrics = {"loss", "learning_rate", "validation_dice/labelled", "slices alone/labelled/dice_mean"}
        must(metrics <= set(data.metrics), f"metrics: {sorted(data.metrics)}")
        must(len(data.tags.get("data_version", "")) == 64, f"tags: {data.tags}")
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
        must(data.tags.get("mlflow.source.git.commit", "") == commit, f"the commit is {commit}, and tags say {data.tags}")
        must(self.files_of(run, "model") == MODEL, f"files: {self.files_of(run, 'model')}")
        must(self.files_of(run, "plots") and not self.files_of(run, "worst"), "plots are missing, or pictures are there")
        [version] = self.versions(run)
        challenger = self.client.get_model_version_by_alias("tiny", "challenger")
        must(challenger.version == version.version and challenger.description.startswith("# tiny"), f"{challenger}")
        fetched = pathlib.Path(mlflow.artifacts.download_artifacts("models:/tiny@challenger"))
        here = self.place.folder / "first-model"
        must((fetched / "weights.safetensors").read_bytes() == (here / "weights.safetensors").read_bytes(), "the weights are others in MLflow")

    def pictures(self):
        self.place.good(*self.command("shown", *SHORT, "--mlflow-pictures", name="shown"))
        must(self.files_of(self.run_of("shown"), "worst/labelled"), "no picture came, though they were asked for")

    def cut_off(self):
        """MLflow dies amid a run, which goes on, warns once and is sent later: once."""
        with self.started(self.command("cut", *LONG, name="cut")) as train:
            until("a metric arrives", lambda: (run := self.run_of("cut")) and "loss" in run.data.metrics)
            self.server.stop()
            _, said = train.communicate(timeout=PATIENCE_S)
        warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
        must(train.returncode == 0 and len(warnings) == 1 and "--mlflow-resume" in warnings[0], f"training says {said[-1500:]}")
        self.place.bad(self.medseg, "train", "--mlflow", self.server.url, "--mlflow-resume", "cut", says="MLflow at .* does not")
        self.server.start()
        for _ in range(2):
            self.resume("cut")
            run = self.all_arrived("cut")
            must(run.info.status == "FINISHED" and len(self.versions(run)) == 1, f"{run.info} {self.versions(run)}")

    def killed(self):
        """Training is killed, told so, and goes on as the same run."""
        with self.started(self.command("killed", *LONG, name="killed")) as train:
            until("a checkpoint is there", lambda: (self.place.folder / "killed/last.safetensors").is_file())
            until("the run arrives", lambda: self.run_of("killed"))
            self.place.bad(self.medseg, "train", "--mlflow", self.server.url, "--mlflow-resume", "killed", says="goes on in another process")
            train.kill()
            train.communicate()
        self.resume("killed")
        must(self.run_of("killed").info.status == "KILLED", "what was killed is not said to be")
        self.place.good(*self.command("killed", *LONG, "--resume", name="killed"))
        must(self.all_arrived("killed").info.status == "FINISHED", "what went on is not finished")

    def folds(self):
        self.place.good(*self.command("folded", *SHORT, "--folds", "2"))
        parent = self.all_arrived("folded")
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        folds = self.client.search_runs([parent.info.experiment_id], query)
        must(sorted(fold.info.run_name for fold in folds) == ["fold-1", "fold-2"], f"folds: {folds}")
        must(all(fold.info.status == "FINISHED" and "loss" in fold.data.metrics for fold in folds), f"folds: {folds}")
        must("cross-validation.md" in self.files_of(parent, None), "the report of the folds is missing")

    def finished_and_evaluated(self):
        model = ["--manifest", self.labelled, "--model", "first-model", "--device", "cpu", "--mlflow", self.server.url]
        self.place.good(
            self.medseg, "finish", *model, "--run", "again", "--out", "again-model", "--model-version", "9.9.9", "--straight",
            "--judged-phantoms", "0", "--mlflow-run-name", "again",
        )
        [version] = self.versions(self.run_of("again"))
        must(version.name == "tiny" and version.tags.get("medseg.version") == "9.9.9", f"{version}")
        self.place.good(self.medseg, "evaluate", *model, "--mlflow-run-name", "evaluated", "--mlflow-experiment", "looks")
        [run] = self.client.search_runs([self.client.get_experiment_by_name("looks").experiment_id])
        must("dice_mean" in run.data.metrics and self.files_of(run, "plots") == {"evaluate.svg"}, f"{run.data}")

    def imported(self):
        """From MLflow's registry into medseg's, with where it comes from."""
        medseg = [self.medseg, "model", "--url", self.medseg_url]
        take = [*medseg, "import", "--mlflow", self.server.url]
        self.place.good(*take, "mlflow:cut@challenger", says="cut/0.1.0")
        shown = json.loads(self.place.good(*medseg, "show", "cut/0.1.0"))
        run = self.run_of("cut")
        must(run.info.run_id in shown["source"], f"source: {shown['source']}")
        must(shown["data_version"] == run.data.tags["data_version"], f"data: {shown['data_version']}")
        self.place.good(*take, "mlflow:tiny/2", says="tiny/9.9.9")
        self.place.bad(*take, "mlflow:tiny@champion", says="MLflow at .* gives no model tiny@champion")
        self.place.bad(*take, "mlflow:nothing/1", says="not found")
        self.place.bad(*medseg, "import", "mlflow:tiny/2", says="no MLflow is named")

    def resume(self, run):
        self.place.good(self.medseg, "train", "--mlflow", self.server.url, "--mlflow-resume", run, says="all of it is in MLflow")

    @contextlib.contextmanager
    def started(self, command):
        words = [str(word) for word in command]
        process = subprocess.Popen(words, cwd=self.place.folder, env=self.place.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def main():
    programs, url = sys.argv[1:]
    place = Place(programs)
    folder = place.folder / "mlflow"
    folder.mkdir()
    server = Server(folder)
    try:
        server.start()
        check = Check(place, server, url)
        for part in (check.a_run, check.pictures, check.cut_off, check.killed, check.folds, check.finished_and_evaluated, check.imported):
            began = time.monotonic()
            part()
            print(f"mlflow: {part.__name__} ({time.monotonic() - began:.0f} s)", flush=True)
    except (Failed, subprocess.TimeoutExpired) as fault:
        sys.exit(f"error: mlflow: {fault}")
    finally:
        server.stop()
        place.close()


if __name__ == "__main__":
    main()

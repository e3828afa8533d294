#!/usr/bin/env bash
# check-mlflow.sh FOLDER: a real MLflow takes what training tells it, and a model comes from its registry into medseg's.
#
# Starts the medseg that lies in FOLDER, and MLflow with a database and files of its own, on free ports of the loopback. The server
# of MLflow is cut off in the middle of a run, and training killed; what is missing is sent later.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# = 1 ] || fail "usage: check-mlflow.sh FOLDER"
tools=${MEDSEG_CACHE:-$HOME/.cache/medseg}/mlflow
[ -f "$tools/complete" ] || fail "MLflow is missing: scripts/setup.sh test"

serve "$1/medseg" --model-url threshold: --research
export PYTHONPATH=$tools PYTHONDONTWRITEBYTECODE=1
# What this machine is set up for, for other programs, is not meant here.
for name in $(compgen -e | grep '^MLFLOW_' || true); do unset "$name"; done
MEDSEG_PASSWORD=$password python3 scripts/check_mlflow.py "$1" "$url"

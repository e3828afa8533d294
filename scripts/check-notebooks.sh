#!/usr/bin/env bash
# check-notebooks.sh FOLDER: every notebook runs to its end, and so does the example client, against the medseg that lies in FOLDER.
#
# Starts it on a directory and a port of its own, and an MLflow beside it; training is as short as there is.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# = 1 ] || fail "usage: check-notebooks.sh FOLDER"
programs=$(cd "$1" && pwd) root=$PWD
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
for tool in mlflow dvc streamlit evidently; do
    [ -f "$cache/$tool/complete" ] || fail "$tool is missing: scripts/setup.sh test"
done

# Nothing of this machine's own settings, nor of its user's.
for name in $(compgen -e | grep -E '^(MLFLOW|MEDSEG_(URL|CLIENT)|DVC|STREAMLIT)' || true); do unset "$name"; done
mkdir "$folder/home" "$folder/bin" "$folder/mlflow"
export HOME=$folder/home PYTHONDONTWRITEBYTECODE=1 GIT_PYTHON_REFRESH=quiet MPLCONFIGDIR=$folder/matplotlib DVC_NO_ANALYTICS=1 \
    DVC_SITE_CACHE_DIR=$folder/site DVC_GLOBAL_CONFIG_DIR=$folder/config DVC_SYSTEM_CONFIG_DIR=$folder/config

mlflow=
both_stop() {
    # Its workers are its own session.
    [ -z "$mlflow" ] || { kill -KILL -- "-$mlflow" 2>/dev/null || true; wait "$mlflow" 2>/dev/null || true; }
    stop
}
trap both_stop EXIT

# Started first: it takes a while, and only the third notebook wants it.
mlflow_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PYTHONPATH=$cache/mlflow setsid python3 -m mlflow server --host 127.0.0.1 --port "$mlflow_port" --workers 1 \
    --backend-store-uri "sqlite:///$folder/mlflow/mlflow.db" --artifacts-destination "$folder/mlflow/files" >"$folder/mlflow/log" 2>&1 &
mlflow=$!

until_mlflow_answers() {
    for _ in $(seq 600); do
        curl -sf "http://127.0.0.1:$mlflow_port/health" >/dev/null && return
        kill -0 "$mlflow" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 5 "$folder/mlflow/log" >&2
    fail "MLflow did not start"
}

serve "$programs/medseg" --model-url threshold: --research
export MEDSEG_URL=$url MEDSEG_USER=$user MEDSEG_PASSWORD=$password PATH=$folder/bin:$programs:$PATH
# The model of this server is pinned, so that no worker evaluates others.
export NOTEBOOKS_WORK=$folder/work NOTEBOOKS_QUICK=yes NOTEBOOKS_GATE_S=0
printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 -m dvc "$@"\n' "$cache/dvc" >"$folder/bin/dvc"
chmod +x "$folder/bin/dvc"

# runs WHAT TOOL COMMAND...: with the packages of TOOL; shows what it says only where it fails.
runs() {
    local what=$1 tool=$2 started=$SECONDS
    shift 2
    PYTHONPATH=$cache/$tool "$@" >"$folder/said-by-it" 2>&1 || { tail -n 40 "$folder/said-by-it" >&2; fail "$what fails"; }
    echo "notebooks: $what ($((SECONDS - started)) s)"
}

notebooks=(1_data 2_api 3_train 4_promote 5_monitor training_session)
[ "$(printf 'notebooks/%s.py\n' "${notebooks[@]}" client | sort)" = "$(ls notebooks/*.py | sort)" ] || fail "there is a notebook that is not run here"
for notebook in "${notebooks[@]}"; do
    if [ "$notebook" = 3_train ]; then
        until_mlflow_answers
        export MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow_port
    fi
    # The fifth computes on rows, which takes Evidently.
    tool=mlflow
    [ "$notebook" != 5_monitor ] || tool=evidently
    runs "$notebook" "$tool" python3 "$root/notebooks/$notebook.py"
done
unset MLFLOW_TRACKING_URI
"$programs/medseg" phantom --out "$folder/scan.png" --seed 7 >/dev/null
runs "the example client" streamlit python3 scripts/check_streamlit.py "$folder/scan.png"

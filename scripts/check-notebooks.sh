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

check=notebooks
by_itself
mkdir "$folder/mlflow"

# Started first: it takes a while, and only the third notebook wants it.
mlflow_port=$(free_port)
PYTHONPATH=$cache/mlflow beside "$folder/mlflow/log" python3 -m mlflow server --host 127.0.0.1 --port "$mlflow_port" --workers 1 \
    --backend-store-uri "sqlite:///$folder/mlflow/mlflow.db" --artifacts-destination "$folder/mlflow/files"

serve "$programs/medseg" --model-url threshold: --research
export MEDSEG_URL=$url MEDSEG_USER=$user MEDSEG_PASSWORD=$password PATH=$folder/bin:$programs:$PATH
# The model of this server is pinned, so that no worker evaluates others.
export NOTEBOOKS_WORK=$folder/work NOTEBOOKS_QUICK=yes NOTEBOOKS_GATE_S=0
with_dvc "$cache/dvc"

# runs WHAT TOOL COMMAND...: with the packages of TOOL.
runs() { PYTHONPATH=$cache/$2 quietly "$1" "${@:3}"; }

notebooks=(1_data 2_api 3_train 4_promote 5_monitor training_session training_session_fr)
[ "$(printf 'notebooks/%s.py\n' "${notebooks[@]}" client session session_words | sort)" = "$(ls notebooks/*.py | sort)" ] || fail "there is a notebook that is not run here"
for notebook in "${notebooks[@]}"; do
    if [ "$notebook" = 3_train ]; then
        answers MLflow "$folder/mlflow/log" curl -sf "http://127.0.0.1:$mlflow_port/health"
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

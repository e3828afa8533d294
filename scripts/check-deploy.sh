#!/usr/bin/env bash
# check-deploy.sh: whether compose file, chart, image, Terraform example and workflows are sound, and name settings that the services have.
set -euo pipefail
cd "$(dirname "$0")/.."

export PYTHONPATH="$MEDSEG_CACHE/deploy-tools:$MEDSEG_CACHE/hcl"
export PYTHONDONTWRITEBYTECODE=1
sh -n deploy/root.sh
deploy/cluster-secret.sh release | python3 -c 'import sys, yaml; assert yaml.safe_load(sys.stdin)["kind"] == "Secret"'

if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
else
    echo "error: neither 'docker compose' nor docker-compose is here: run 'scripts/setup.sh test'" >&2
    exit 1
fi
"${compose[@]}" -f docker-compose.yml config -q
"${compose[@]}" -f deploy/edge/compose.yml --profile watch --profile forward config -q
echo "compose: docker-compose.yml and deploy/edge/compose.yml are sound"

python3 scripts/check_accounts.py
python3 scripts/check_chart.py helm/medseg
python3 scripts/check_terraform.py
promtool check rules deploy/observe/alerts.yaml
promtool check config --syntax-only deploy/observe/prometheus.yaml
promtool test rules deploy/observe/alerts_test.yaml
python3 scripts/check_metrics.py
python3 scripts/check_settings.py "$CARGO_TARGET_DIR/debug"
python3 scripts/check_simulation.py

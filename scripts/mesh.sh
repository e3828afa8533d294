#!/usr/bin/env bash
# mesh.sh: the whole mesh on this machine without containers: each service its own process, two inference workers, on a
# private MariaDB, RabbitMQ and a double of Google Cloud Storage. Sends it a phantom and prints what it answers.
#
# At a terminal it stays up until Ctrl-C; elsewhere, or with MESH_ONCE=1, it stops after the answer.
# PORT=N chooses the gateway's port; otherwise a free one is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${MESH_PROGRAMS:-}" ]; then
    scripts/setup.sh test
    medseg=$(scripts/build.sh | tail -n 1)
    MESH_PROGRAMS=$(dirname "$medseg") exec scripts/servers.sh scripts/env.sh "$0"
fi

say() { echo "mesh: $*"; }
fail() { echo "error: $*" >&2; exit 1; }

folder=$(mktemp -d /tmp/medseg-mesh.XXXXXX)
pids=()
stop() {
    trap - EXIT
    # In the order of the way of a scan: what is in hand is finished.
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 0' INT TERM

# free_ports COUNT: so many ports that were free a moment ago.
free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))
PYTHON
}
read -r auth storage ingest registry drift delivery worker1 worker2 bucket free < <(free_ports 10)
read -ra probes < <(free_ports 9)
gateway=${PORT:-$free}
url() { echo "http://127.0.0.1:$1"; }

# database NAME: a database of a service's own on the private server.
database() {
    local root=${TEST_MYSQL_URL%/*}
    python3 - "$root" "$1" <<'PYTHON'
import subprocess, sys, urllib.parse
server = urllib.parse.urlsplit(sys.argv[1])
command = ["mariadb", "--no-defaults", "-h", server.hostname, "-P", str(server.port), "-u", server.username]
command += [f"--password={server.password}", "-e", f"create database {sys.argv[2]}"]
subprocess.run(command, check=True)
PYTHON
    echo "$root/$1"
}

# start NAME PROGRAM PORT OPTION...: a process of the mesh, waited for until it is ready. Its log is what it prints.
start() {
    local name=$1 program=$2 port=$3 probed=
    shift 3
    if [ "$program" != gcs ]; then
        probed=${probes[0]} probes=("${probes[@]:1}")
        set -- --probes "127.0.0.1:$probed" "$@"
    fi
    "$MESH_PROGRAMS/$program" --listen "127.0.0.1:$port" "$@" >"$folder/$name.out" 2>"$folder/$name.err" &
    local pid=$!
    pids=("$pid" "${pids[@]}")
    for _ in $(seq 300); do
        if [ "$program" = gcs ] && [ -s "$folder/$name.out" ]; then break; fi
        if curl -sf "$(url "$probed")/readyz" >/dev/null 2>&1; then break; fi
        kill -0 $pid 2>/dev/null || { tail -n 5 "$folder/$name.out" "$folder/$name.err" >&2; fail "$name did not start"; }
        sleep 0.1
    done
    say "$name (process $pid) on $(url "$port")"
}

secret=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
gateway_secret=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
delivery_secret=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
models=$PWD/models/medseg-mr
export AUTH_URL STORAGE_URL INGEST_URL REGISTRY_URL DRIFT_URL DELIVERY_URL INFERENCE_URL QUEUE_URL=$TEST_AMQP_URL
AUTH_URL=$(url "$auth") STORAGE_URL=$(url "$storage") INGEST_URL=$(url "$ingest")
REGISTRY_URL=$(url "$registry") DRIFT_URL=$(url "$drift") DELIVERY_URL=$(url "$delivery") INFERENCE_URL=$(url "$worker1")

start objects gcs "$bucket" --folder "$folder/objects"
password=$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')
# Secrets go by the environment of each: other users of the machine see arguments.
FIRST_PASSWORD=$password DATABASE_URL=$(database auth) SERVICE_SECRET=$secret DELIVERY_SECRET=$delivery_secret \
    GATEWAY_SECRET=$gateway_secret start auth auth "$auth" --signing-key "$folder/key.pem"
# A key ring of one key, with which each patient's is wrapped.
(umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/data-keys")
DATABASE_URL=$(database storage) SERVICE_SECRET=$secret DATA_KEYS_URL=file://$folder/data-keys \
    start storage storage "$storage" --blob-url "gs://medseg?endpoint=$(url "$bucket")"
SERVICE_SECRET=$secret start ingest ingest "$ingest" --spool "$folder/spool"
# Beside the bucket: all that lies in it is storage's, which deletes what belongs to no scan.
DATABASE_URL=$(database registry) start registry registry "$registry" --blob-url "file://$folder/models" \
    --model-key "$folder/model-key.pem" --first-model "$models"
DATABASE_URL=$(database drift) SERVICE_SECRET=$secret start drift drift "$drift" --reference "$models/reference.json"
DATABASE_URL=$(database delivery) DELIVERY_SECRET=$delivery_secret start delivery delivery "$delivery"
for worker in "$worker1" "$worker2"; do
    SERVICE_SECRET=$secret start "inference-$worker" inference "$worker"
done
GATEWAY_SECRET=$gateway_secret start gateway gateway "$gateway"

say "making a phantom: a head with a lesion of known size"
"$MESH_PROGRAMS/medseg" phantom --format dicom --slices 1 --out "$folder/phantom.dcm" >"$folder/truth.json"
MEDSEG_PASSWORD=$password python3 scripts/demo.py "$(url "$gateway")" "$folder/phantom.dcm" "$folder"
say "page: $(url "$gateway") (user admin, password $password); logs and objects: $folder"

if [ -t 1 ] && [ -z "${MESH_ONCE:-}" ]; then
    say "the mesh stays up; Ctrl-C stops it"
    wait
fi

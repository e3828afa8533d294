#!/usr/bin/env bash
# bench_mesh.sh [MEASUREMENT...] [OPTION...]: what the mesh bears on this machine, as Markdown tables (--help lists both).
#
# The mesh runs on a private MariaDB and RabbitMQ that flush as in production. `compare` fetches PyTorch (3 GB, once); where
# that cannot be had, it says so and is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh test
# In one go: apart, our crates would be built twice.
scripts/env.sh cargo build --quiet --release --workspace --features inference/doubles --bins --bench mesh
# Of its own, because whatever uses the one broker of the suite takes turns by a file in the common one.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
DURABLE=1 scripts/servers.sh env TMPDIR="$folder" scripts/env.sh cargo bench --quiet --workspace --features inference/doubles --bench mesh -- "$@"

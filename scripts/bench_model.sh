#!/usr/bin/env bash
# bench_model.sh [OPTION...]: the network on our engine and on those that others serve with, one table; --help lists the options.
#
# PyTorch, ONNX Runtime and OpenVINO are fetched where they are missing (3 GB, once).
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/pytorch.sh onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1)
medseg=$(scripts/build.sh | tail -n 1)
# Ours finds its libtorch by itself, and its OpenVINO by this path; PyTorch must not find that libtorch.
LD_LIBRARY_PATH=$(scripts/openvino.sh) "$python" scripts/bench_model.py "$medseg" "$@"

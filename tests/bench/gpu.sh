#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: install from wheels at hand, write a synthetic 8B bf16 model, and measure the gateway
# against MAX's own server and the GPU against the CPU. Nothing is fetched.
#
#   tests/bench/gpu.sh WHEELS RESULTS [8b|1b|tiny]
#
# WHEELS holds wheels of max and what it needs for this Python (`pip download 'max[serve]==26.7.*' -d WHEELS`).
set -euo pipefail
wheels=$1 results=$2 size=${3:-8b}
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$results"

python3 -m venv --system-site-packages "$scratch/venv"
. "$scratch/venv/bin/activate"
pip install -q --no-index --find-links "$wheels" hatchling editables
pip install -q --no-index --find-links "$wheels" --no-build-isolation -e "$top[max]"

machine=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -1 || true)
report="$results/gpu-$(date +%Y-%m-%d)-$size.txt"
{
  echo "machine: ${machine:-no NVIDIA GPU}, $(nproc) cores, $(python -c 'import platform; print(platform.processor() or platform.machine())')"
  echo "python: $(python --version), max: $(pip show max 2>/dev/null | sed -n 's/^Version: //p')"
  python "$top/tests/bench/synthetic.py" "$scratch/model" "$size"
  for device in gpu cpu; do
    if [ "$device" = gpu ] && [ -z "$machine" ]; then echo "gpu: skipped, there is none"; continue; fi
    echo "== $device"
    streams=256; rounds=3
    [ "$device" = cpu ] && { streams=8; rounds=1; }
    hyperllama-gateway bench --against max-serve --model "$scratch/model" --device "$device" --streams "$streams" --rounds "$rounds"
  done
} 2>&1 | tee "$report"

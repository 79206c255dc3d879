#!/usr/bin/env bash
# On a machine with an NVIDIA GPU and nothing but Python: install from wheels at hand, write a model of random weights,
# and measure the gateway against MAX's own server, on the GPU and on the CPU. Nothing is fetched.
#
#   tests/bench/gpu.sh WHEELS RESULTS [8b|1b|tiny]
#   tests/bench/gpu.sh --dry-run RESULTS       every step but the installation, on this CPU, in a minute or two
#
# WHEELS holds the gateway's wheel and all it needs, made on a machine with a network, the same Python and processor:
#   pip wheel -w WHEELS '.[max]'
# PYTHON names the interpreter (python3). The report and its figures, as JSON and as pages, are left in RESULTS.
set -euo pipefail

usage() { sed -n '5,6s/^# *//p' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
python=${PYTHON:-python3} top=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$1" = --dry-run ]; then
  wheels="" size=probe devices=cpu streams_gpu=2 streams_cpu=2 tokens=8
else
  wheels=$(cd "$1" && pwd) size=${3:-8b} devices="gpu cpu" streams_gpu=256 streams_cpu=8 tokens=100
fi
mkdir -p "$2"
results=$(cd "$2" && pwd)

case $size in # GiB on disk, and of memory for a CPU, which runs it as float32
  8b) disk=17 memory=40 ;;
  1b) disk=3 memory=8 ;;
  tiny | probe) disk=1 memory=2 ;;
  *) usage ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
gib() { awk -v kib="$1" 'BEGIN { print int(kib / 1048576) }'; }
free_disk=$(gib "$(df -Pk "$scratch" | awk 'NR == 2 { print $4 }')")
free_memory=$(gib "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)")
gpu=$(command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader || true)
failed=0

measure() {
  echo "gpu: ${gpu:-none}"
  echo "memory: $free_memory GiB free, disk: $free_disk GiB free, cores: $(nproc)"
  if [ "$free_disk" -lt "$disk" ]; then
    echo "the model of size $size takes $disk GiB in $scratch; set TMPDIR to a larger disk"
    return 1
  fi
  if [ -n "$wheels" ]; then
    "$python" -m venv "$scratch/venv"
    python=$scratch/venv/bin/python
    "$python" -m pip install -q --no-index --find-links "$wheels" 'hyperllama-gateway[max]'
  fi
  "$python" -c '
import sys
from importlib.metadata import version
print("python:", sys.version.split()[0], "max:", version("max"), "gateway:", version("hyperllama-gateway"))'
  "$python" "$top/tests/bench/synthetic.py" "$scratch/model" "$size"
  for device in $devices; do
    echo "== $device"
    if [ "$device" = gpu ] && [ -z "$gpu" ]; then
      echo "skipped: this machine has none"
      continue
    fi
    if [ "$device" = cpu ] && [ "$free_memory" -lt "$memory" ]; then
      echo "skipped: on a CPU this size takes $memory GiB of memory; try 1b"
      continue
    fi
    streams=$streams_gpu rounds=3
    [ "$device" = cpu ] && streams=$streams_cpu rounds=1
    # One device that fails must not keep the other's figures from being taken.
    "$python" -m hyperllama bench --against max-serve --model "$scratch/model" --device "$device" \
      --streams "$streams" --rounds "$rounds" --tokens "$tokens" --out "$results" || { echo "failed: $device"; failed=1; }
  done
  "$python" "$top/tests/bench/ratio.py" "$results"
  return $failed
}

report=$results/$(date +%Y-%m-%d)-$size.txt
# A function in a pipe runs in a shell of its own, where -e holds only if it is not asked how it ended.
set +e
(set -e; measure) 2>&1 | tee "$report"
exit "${PIPESTATUS[0]}"

#!/usr/bin/env bash
# Evaluate with several processes: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES
# [options]. One process per GPU; on a machine without one they share the CPU (gloo).
# Several machines: run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" \
  -m torch.distributed.run \
  --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$3" \
  --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
  "$tools/test.py" "$1" "$2" --launcher pytorch "${@:4}"

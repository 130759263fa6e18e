#!/usr/bin/env bash
# Train under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options].
# Environment: GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS, PORT.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
[ "$gpus" -ge "$per_node" ] || per_node=$gpus
export MASTER_PORT=${PORT:-29500}
# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}" exec srun \
  -p "$1" --job-name="$2" --gres="gpu:$per_node" \
  --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$tools/train.py" "$3" --work-dir "$4" \
  --launcher slurm "${@:5}"

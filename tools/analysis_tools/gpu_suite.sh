#!/usr/bin/env bash
# All checks that need a GPU, in at most nine minutes, the most valuable first:
#   tools/analysis_tools/gpu_suite.sh [--out FOLDER] [--only STEP ...]
# Try it on a CPU, with tiny models, before a GPU is paid for:
#   tools/analysis_tools/gpu_suite.sh --device cpu --tiny
# FOLDER/gpu_suite.json [work_dirs/gpu_suite] holds all results so far after each step.
#
# Where nothing can be installed, the packages travel as wheels. Here, with a network:
#   tools/analysis_tools/gpu_suite.sh pack .whl
# and there the script installs what lies in .whl (or $WHEELS) beside the image's own
# packages: Python 3.12, torch, torchvision, timm, transformers, OpenCV, SciPy, pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-python3}
wheels=${WHEELS:-.whl}

pack() {  # into the folder $1; about 12 MiB
  local pin=(-c requirements/constraints.txt) platforms=() version pure binary name
  for version in 2_28 2_27 2_24 2_17; do
    platforms+=(--platform "manylinux_${version}_x86_64")
  done
  mkdir -p "$1"
  # One is built from its source; none of it depends on a version of Python.
  pure=(onedl-mmengine onedl-mmcv onedl-mmdetection onedl-mmsegmentation
    open_clip_torch ftfy addict termcolor terminaltables prettytable wcwidth yapf imaug
    imagecorruptions-imaug)
  binary=(pycocotools shapely)
  for name in "${pure[@]}"; do
    "$python" -m pip wheel -q --no-deps --no-cache-dir "${pin[@]}" -w "$1" "$name"
  done
  for name in "${binary[@]}"; do
    "$python" -m pip download -q --no-deps --only-binary=:all: "${pin[@]}" \
      --python-version 3.12 --implementation cp "${platforms[@]}" \
      --platform manylinux2014_x86_64 -d "$1" "$name"
  done
  du -sh "$1"
}

if [ "${1-}" = pack ]; then
  [ $# -eq 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
  pack "$2"
  exit
fi
if compgen -G "$wheels/*.whl" >/dev/null; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
    --target "$site" "$wheels"/*.whl
  PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
"$python" tools/analysis_tools/gpu_suite.py "$@"

#!/usr/bin/env bash
# The steps of the Dockerfiles, for the Python that comes first in PATH:
#   docker/install.sh dependencies   PyTorch and OpenMMLab, in the tested versions
#   docker/install.sh package        this package
#   docker/install.sh check          segment a drawing
# `make docker-steps` runs all of them in a fresh environment, without Docker.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pip() { python -m pip --disable-pip-version-check "$@"; }

case "${1:-}" in
dependencies)
    # Plain mmcv: compiled ops are needed only for mmdet's own models. A wheel with ops
    # has the same name, so pip's cache is not asked.
    pip install -q --no-cache-dir -c requirements/constraints.txt torch torchvision
    pip install -q --no-cache-dir -c requirements/constraints.txt --no-deps onedl-mmcv
    ;;
package)
    pip install -q --no-cache-dir -c requirements/constraints.txt '.[openmmlab,export]'
    ;;
check)
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    python demo/image_demo.py --out-dir "$folder"
    ls "$folder"/*_overlay.png
    ;;
*)
    echo 'usage: docker/install.sh dependencies|package|check' >&2
    exit 2
    ;;
esac

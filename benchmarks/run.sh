#!/usr/bin/env bash
# Sets up what a benchmark needs, once, and runs it. From anywhere:  benchmarks/run.sh NAME [arguments]
# NAME is cats_dogs, frozen, suspects, startup, memory, cached_epoch, decode, busy, commits, recipes, step, resnet50, maps, throughput, overlays or gpu;  benchmarks/run.sh NAME --help  tells its arguments.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
name="${1:-}"
if [[ -z $name || ! -f $here/$name.py || $name == harness || $name == matrix_rate ]]; then
    echo "Usage: benchmarks/run.sh cats_dogs|frozen|suspects|startup|memory|cached_epoch|decode|busy|commits|recipes|step|resnet50|maps|throughput|overlays|gpu [arguments]" >&2
    exit 2
fi
shift

if [[ $name == resnet50 || $name == maps || $name == gpu ]]; then # torchvision and the peers of maps live beside the parity tests
    make --silent --directory "$here/.." parity/.env/.ready
    export PYTHONPATH="$here/../parity"
    exec "$here/../parity/.env/bin/python" "$here/$name.py" "$@"
fi

make --silent --directory "$here/.." .venv/.ready

# peer NAME PACKAGE…: a peer's own environment, made anew when its pins have changed.
peer() {
    local place="$here/.env-$1" pins="$here/peers/$1-constraints.txt"
    if [[ $place/.ready -nt $pins ]]; then return; fi
    "${PYTHON:-python3}" -m venv --clear "$place"
    "$place/bin/python" -m pip install --quiet --constraint "$pins" "${@:2}"
    touch "$place/.ready"
}

if [[ $name == cats_dogs ]]; then
    peer keras keras tensorflow-cpu pillow scipy
elif [[ $name == throughput ]]; then
    peer torchvision torchvision pillow
    peer timm timm pillow
    peer fastai fastai
fi

exec "$here/../.venv/bin/python" "$here/$name.py" "$@"

#!/usr/bin/env bash
# Sets up what a benchmark needs, once, and runs it. From anywhere:  benchmarks/run.sh NAME [arguments]
# NAME is cats_dogs, frozen, suspects, startup, memory, cached_epoch, decode, busy, commits, recipes, resnet50 or maps;  benchmarks/run.sh NAME --help  tells its arguments.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
name="${1:-}"
if [[ -z $name || ! -f $here/$name.py || $name == harness ]]; then
    echo "Usage: benchmarks/run.sh cats_dogs|frozen|suspects|startup|memory|cached_epoch|decode|busy|commits|recipes|resnet50|maps [arguments]" >&2
    exit 2
fi
shift

if [[ $name == resnet50 || $name == maps ]]; then # torchvision and the peers of maps live beside the parity tests
    make --silent --directory "$here/.." parity/.env/.ready
    export PYTHONPATH="$here/../parity"
    exec "$here/../parity/.env/bin/python" "$here/$name.py" "$@"
fi

make --silent --directory "$here/.." .venv/.ready

keras="$here/.env-keras"
pins="$here/peers/keras-constraints.txt"
if [[ $name == cats_dogs && ! $keras/.ready -nt $pins ]]; then
    "${PYTHON:-python3}" -m venv --clear "$keras"
    "$keras/bin/python" -m pip install --quiet --constraint "$pins" keras tensorflow-cpu pillow scipy
    touch "$keras/.ready"
fi

exec "$here/../.venv/bin/python" "$here/$name.py" "$@"

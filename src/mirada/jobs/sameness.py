"""Whether a run that goes on is still the one that was stopped, and whether two runs have come to the same bits."""

import csv
import io
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from safetensors.torch import load as load_tensors

from mirada.compute import Compute
from mirada.data.cache import Cache
from mirada.data.splits import save_splits
from mirada.errors import DataError, counted
from mirada.files import replacing, sha256_of
from mirada.jobs.describe import environment_record
from mirada.runs.folder import CHECKPOINTS, JOB, MODEL, RESULTS, RunFolder
from mirada.runs.records import DigestsRecord, EnvironmentRecord
from mirada.text import csv_cell, listed
from mirada.training.checkpoints import digest_of
from mirada.training.loop import Training
from mirada.training.recipe import Recipe
from mirada.training.recipe_text import parse_settings

SPLITS = "splits.csv"  # and the targets, the groups' codes, the covariates
CONTENTS = "images.csv"  # the digest of every image
OF_TIME = ("seconds", "images_per_second")  # columns of results.csv
NAMED = 3  # files in a message
DECISIVE = ("mirada", "torch", "numpy", "processor", "threads", "processes", "device", "precision")


def save_contents(cache: Cache, file: Path) -> None:
    """Writes ``path, digest`` of every image that takes part: by its content it is known again."""
    with (
        replacing(file, synced=False) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(("path", "digest"))
        writer.writerows(
            (csv_cell(path), digest) for path, digest in zip(cache.index.paths, cache.digests, strict=True)
        )


def require_same(folder: RunFolder, cache: Cache, recipe: Recipe) -> None:
    """Raises ``DataError`` that names settings, images, targets or splits which are not as when the run began."""
    if folder.is_new or not (folder.path / CONTENTS).exists():
        return
    _require_same_recipe(folder.path, recipe)
    savers: dict[str, Callable[[Path], None]] = {
        CONTENTS: lambda file: save_contents(cache, file),
        SPLITS: lambda file: save_splits(cache.index, file),
    }
    different: list[str] = []
    for name, save in savers.items():
        now = folder.file(f"{CHECKPOINTS}/now-{name}")
        try:
            save(now)
            different += _different(_rows(folder.path / name), _rows(now))
        finally:
            now.unlink(missing_ok=True)
    if different:
        names = list(dict.fromkeys(different))
        raise DataError(
            f"{folder.path}: cannot go on, since {counted(len(names), 'image')} of its data, or their targets or "
            f"splits, are not what they were when the run began: {listed(names, NAMED)}. Restore them, or "
            f"train anew; an Index that was changed by hand is given as mirada.resume(folder, data=index)."
        )


def _require_same_recipe(folder: Path, recipe: Recipe) -> None:
    """Raises ``DataError`` if a run that goes on is asked for what it did not begin with; it names the settings."""
    file = folder / "recipe.toml"
    before = parse_settings(file.read_text(encoding="utf-8", errors="surrogateescape"), str(file))
    now = parse_settings(recipe.to_toml(), JOB)
    if different := [name for name, value in before.items() if now.get(name) != value]:
        raise DataError(
            f"{folder}: cannot go on, since {JOB} and recipe.toml do not agree on {listed(different, NAMED)}, so one "
            f"of them was changed while the run was under way. Restore it, or train anew."
        )


def _rows(file: Path) -> dict[str, list[str]]:
    """The cells of a table by those of its first column, in order."""
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return {row[0]: row[1:] for row in csv.reader(stream) if row}


def _different(before: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> list[str]:
    """The names in the first column of what is in one table alone, otherwise in the other, or at another place."""
    names = [name for name in (*before, *(now.keys() - before.keys())) if before.get(name) != now.get(name)]
    return names or [name for name, other in zip(before, now, strict=True) if name != other]


def changes(before: EnvironmentRecord, compute: Compute) -> list[str]:
    """Sentences on what is not as it was when the run began, and decides the last bits of its weights."""
    now = environment_record(compute, before.command)
    pairs = {name: (getattr(before, name), getattr(now, name)) for name in DECISIVE}
    return [
        f"It began with {name} {first} and goes on with {second}, so its last bits may be others."
        for name, (first, second) in pairs.items()
        if first not in (None, second)  # a run of an earlier version knows less
    ]


def digests(training: Training) -> DigestsRecord:
    """What a run has come to, when all its files are written."""
    folder, tensors = training.folder.path, training.state.tensors()
    kinds = {
        kind: {name: value for name, value in tensors.items() if name.startswith(kind)} for kind in PARTS
    }
    rest = {name: value for name, value in tensors.items() if not name.startswith(PARTS)}
    best = load_tensors((folder / MODEL).read_bytes())  # whose name need not be UTF-8
    return DigestsRecord(
        weights=digest_of(kinds["network."]),
        optimizer=digest_of(kinds["optimizer."]),
        state=digest_of(rest),
        curves=sha256(_curves(folder / RESULTS).encode()).hexdigest(),
        best=digest_of(best),
        predictions=sha256_of(folder / "predictions.csv"),
    )


PARTS = ("network.", "optimizer.")  # what the names of tensors of the state begin with


def _curves(file: Path) -> str:
    """The table of epochs without what tells of time."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    text = io.StringIO()
    for row in rows:
        text.write(",".join(value for name, value in row.items() if name not in OF_TIME) + "\n")
    return text.getvalue()

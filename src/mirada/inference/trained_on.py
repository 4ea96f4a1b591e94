"""Which images a network was trained on: a model file remembers them by content, so that none is taken for a test.

A name or a folder can change, and a part of the images can be listed by a table; the content stays. Eight bytes of
each image's digest are kept, sorted, for every split: enough to know an image again, and nothing to make one from.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.cache import Cache, cached_digests
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import digest, read_image
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import read_splits
from mirada.data.splits import complete_splits, splits_digest
from mirada.errors import DataError, MiradaError, counted
from mirada.modelfile import Card
from mirada.samples import SPLITS

Digests = NDArray[np.uint64]

KEY = "images"  # in a card's provenance
KEPT = 16  # hexadecimal digits of a digest, eight bytes
EMPTY = np.empty(0, dtype=np.uint64)
UNREAD = 0  # of a file that cannot be read, which is nobody's digest


def remember(cache: Cache) -> dict[str, str]:
    """The digests of the images of every split, as ``Card.provenance`` holds them."""
    digests = np.array([short(text) for text in cache.digests], dtype=np.uint64)
    return {split: _text(np.sort(digests[cache.index.rows(split)])) for split in SPLITS}


def joined(cards: Sequence[Card]) -> dict[str, str]:
    """What ``remember`` would say of several networks: an image that taught any of them is one of the training.

    Validation images count as such: those of one network of folds taught another one. Images that tested all of them
    are left to the test. Nothing if one does not remember its images.
    """
    known = [remembered(card) for card in cards]
    if not all(known):
        return {}
    taught, tested = (
        np.unique(np.concatenate([each.get(split, EMPTY) for each in known for split in splits]))
        for splits in (("train", "val"), ("test",))
    )
    return {"train": _text(taught), "val": "", "test": _text(np.setdiff1d(tested, taught))}


def short(text: str) -> int:
    """The part of a digest that is kept."""
    return int(text[:KEPT], 16)


def remembered(card: Card) -> dict[str, Digests]:
    """What ``remember`` wrote; empty for a model file that says nothing of it."""
    return {split: _digests(text) for split, text in card.provenance.get(KEY, {}).items()}


def splits_by_content(known: Mapping[str, Digests], digests: Digests) -> NDArray[np.str_]:
    """The split that each image was in when the network was trained, "" for an image that is new to it.

    Of copies that were in several splits, the one that taught the network most counts: train, val, test.
    """
    found = np.full(len(digests), "", dtype="<U5")
    for split in reversed(SPLITS):
        found[np.isin(digests, known.get(split, ()))] = split
    return found


def contents(index: Index, preprocessing: Preprocessing) -> Digests:
    """The digest of every image (N,); ``UNREAD`` where there is none.

    Those that the cache of images decoded so knows are not read for it; the others are, by all cores.
    """
    known = cached_digests(index, preprocessing)
    digests = np.array([short(known.get(path, "0")) for path in index.paths], dtype=np.uint64)
    unknown = [row for row, path in enumerate(index.paths) if path not in known]
    files = [index.path(row) for row in unknown]
    digests[unknown] = np.fromiter(
        parallel_map(_content, files, what="looking for images of the training"), np.uint64, len(files)
    )
    return digests


def with_training_splits(card: Card, index: Index, saved: Path) -> tuple[Index, str]:
    """The splits of training for the images that were there, and a sentence on what is different now.

    Args:
        card: Of the model.
        index: Data to judge it on.
        saved: The ``splits.csv`` beside the model, which models before format 3 need.

    Returns:
        The index, in which images that are new to the network join the test; unchanged if none was in the training.
    """
    known = remembered(card)
    if not known:
        return _with_saved_splits(card, index, saved)
    digests = contents(index, card.preprocessing)
    splits = splits_by_content(known, digests)
    old, new = int((splits != "").sum()), int(((splits == "") & (digests != UNREAD)).sum())
    if not old:
        return index, ""
    notes = []
    before = sum(map(len, known.values()))
    same_place = _is_training_data(card, index)
    if same_place:  # what training could not decode either is no news
        new = max(0, new - card.provenance.get("excluded", 0))
    if old < before and same_place:
        notes.append(f"training used {before:,} images here, of which {old:,} are left.")
    if new:
        joins = "joins" if new == 1 else "join"
        notes.append(
            f"{counted(old, 'image')} took part in training; {counted(new, 'new image')} {joins} the test."
        )
    index = replace(index, splits=np.where(splits == "", "test", splits))
    return index, f"Note: {' '.join(notes)}" if notes else ""


def digests_of(cache: Cache, split: str) -> Digests:
    """Those of the images of a split."""
    return np.array([short(cache.digests[row]) for row in cache.index.rows(split)], dtype=np.uint64)


def contamination(card: Card, tested: Digests, file: str) -> tuple[int, str]:
    """How many test images the weights to start from were trained on, and what to say of it; 0 and "" for none."""
    seen = int(np.isin(splits_by_content(remembered(card), tested), ("train", "val")).sum())
    if not seen:
        return 0, ""
    return seen, (
        f"not an honest test: {seen:,} of the {len(tested):,} test images are among those that {Path(file).name}, "
        f"where training starts, was trained on"
    )


def _with_saved_splits(card: Card, index: Index, saved: Path) -> tuple[Index, str]:
    """By the names in ``splits.csv``, for a model file that does not remember its images by content."""
    if saved.is_file():
        try:
            named = read_splits(saved, index, missing_ok=True)
        except DataError:  # none of the names is there
            return index, ""
        before = _number_trained_with(card)
        if len(named) >= before:
            return named, ""
        return named, f"Note: training used {before:,} images here, of which {len(named):,} are left."
    return _drawn_again(card, index) if _is_training_data(card, index) else (index, "")


def _is_training_data(card: Card, index: Index) -> bool:
    """Whether the data lie where those of the training lay."""
    return bool(card.provenance.get("data") == str(index.origin.resolve()))


def _drawn_again(card: Card, index: Index) -> tuple[Index, str]:
    """Sets aside what training set aside, if that can be known without its ``splits.csv``."""
    fractions = card.recipe.get("splits") or card.recipe  # flat in files of earlier versions
    settings = {name: fractions[name] for name in ("val_fraction", "test_fraction")} | {
        "seed": card.recipe["seed"]
    }
    try:
        completed, _ = complete_splits(index, **settings)
    except DataError:  # a single group, of which training cannot have set anything aside
        return index, ""
    if stated := card.provenance.get("splits"):
        if splits_digest(completed) == stated:
            return completed, ""
        return index, (
            "Note: these may include images that the model was trained on; give --split-column splits.csv of its run. "
            "What training set aside cannot be told without it: the columns or the files were others then."
        )
    before = _number_trained_with(card) + card.provenance["excluded"]
    now = len(index) + len(index.excluded)
    if now == before or completed is index:
        return completed, ""
    return (
        completed,
        f"Note: training saw {before:,} files here, now there are {now:,}; other ones may be set aside.",
    )


def _number_trained_with(card: Card) -> int:
    """Images of all splits."""
    return sum(sum(counts.values()) for counts in card.provenance["counts"].values())


def _content(file: Path) -> int:
    try:
        return short(digest(read_image(file)))
    except MiradaError:  # predicting says so of the file
        return UNREAD


def _text(digests: Digests) -> str:
    return b64encode(digests.astype("<u8").tobytes()).decode()


def _digests(text: str) -> Digests:
    return np.frombuffer(b64decode(text), dtype="<u8").astype(np.uint64)

"""Other networks beside the one whose maps are judged: with other seeds, or trained on permuted labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mirada.data.index import Index
from mirada.errors import InvalidArgument, counted
from mirada.inference.model import Model
from mirada.inference.trained_on import contents, remembered, splits_by_content
from mirada.judging.asking import Asking
from mirada.judging.sanity import label_randomisation
from mirada.judging.stability import seeds
from mirada.judging.subject import Grid, Subject
from mirada.judging.verdict import Verdict

PERMUTED = "permute_labels"  # the setting
OWN = ("seed", "device", PERMUTED)  # settings that may differ


def require_alike(model: Model, others: Sequence[Model], index: Index) -> None:
    """Refuses networks that differ from a model by more than their seed or their labels, or know the images.

    Args:
        model: Whose maps are judged.
        others: Those beside it.
        index: The images.

    Raises:
        InvalidArgument: One of them is another network, reads images otherwise, was trained by other settings, or on
            some of the images; or it is the model itself; or more than one, or the model, has learnt permuted labels.
    """
    if others and (_permuted(model) or sum(map(_permuted, others)) > 1):
        raise InvalidArgument(
            "of the networks that are compared one at most may have been trained on permuted labels, and that must "
            "not be the judged one."
        )
    for number, other in enumerate(others, 1):
        if reason := _unlike(model, other) or _knows(other, index):
            raise InvalidArgument(f"network {number} beside the judged one: {reason}")


def judge_beside(
    others: Sequence[Model], asking: Asking, subject: Subject, tick: Callable[[], None]
) -> list[Verdict]:
    """Whether maps stay with another seed, and change where there was nothing true to learn.

    Args:
        others: Networks that are ``require_alike``.
        asking: The model whose maps are judged.
        subject: Its maps.
        tick: Called after each network.

    Returns:
        A verdict for each of the two questions that there are networks for.
    """
    found: dict[bool, list[Sequence[Grid]]] = {True: [], False: []}
    rows = np.arange(len(subject.images))
    for other in others:
        maps = replace(asking, members=other.members).maps(subject.images, rows)
        found[_permuted(other)].append(maps)
        tick()
    verdicts = [
        label_randomisation(subject.maps, maps, groups=subject.groups, seed=subject.seed)
        for maps in found[True]
    ]
    if found[False]:
        verdicts.append(seeds([subject.maps, *found[False]], subject))
    return verdicts


def _unlike(model: Model, other: Model) -> str:
    """Why two networks cannot be compared, or ""."""
    ours, theirs = model.card, other.card
    if ours.architecture != theirs.architecture or len(model.members) != len(other.members):
        return "it is not the same network. Give one that was trained like the judged one."
    if ours.target != theirs.target:
        return "it was trained for other classes or numbers."
    mean, std = ours.preprocessing.mean, ours.preprocessing.std
    if replace(theirs.preprocessing, mean=mean, std=std) != ours.preprocessing:
        return "it reads images in another way (size, mode or policy)."
    one, two = _flat(ours.recipe), _flat(theirs.recipe)
    if differ := [key for key in sorted(one | two) if key not in OWN and one.get(key) != two.get(key)]:
        return f"it was trained by other settings ({', '.join(differ[:5])}); only the seed may differ."
    if _permuted(other) == _permuted(model) and one.get("seed") == two.get("seed"):
        return (
            "it has the judged one's seed. Train one with another --seed, or with --set permute_labels=true."
        )
    return ""


def _knows(other: Model, index: Index) -> str:
    """Whether a network was trained on some of the images, as a sentence, or ""."""
    splits = splits_by_content(remembered(other.card), contents(index, other.card.preprocessing))
    if not (seen := int(np.isin(splits, ("train", "val")).sum())):
        return ""
    return (
        f"{counted(seen, 'image')} of the {len(index):,} to be judged taught it. Train it on the same splits: with "
        f"--seeds, or with --split and the judged run's splits.csv."
    )


def _permuted(model: Model) -> bool:
    return bool(model.card.recipe.get(PERMUTED, False))


def _flat(recipe: Mapping[str, object], table: str = "") -> dict[str, object]:
    """A recipe's settings by their full names."""
    found: dict[str, object] = {}
    for key, value in recipe.items():
        found |= _flat(value, f"{table}{key}.") if isinstance(value, Mapping) else {f"{table}{key}": value}
    return found

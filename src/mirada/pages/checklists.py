"""Checklists of reporting guidelines, filled in as far as a run knows; what it cannot know is left open."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mirada.codec import from_json
from mirada.errors import counted
from mirada.evaluation.evaluate import Evaluation
from mirada.pages import methods
from mirada.pages.overview import headline, mark
from mirada.pages.words import SPLITS, said_of_parts, shown
from mirada.runs.folder import ENSEMBLE
from mirada.runs.reader import RunContents
from mirada.text import integer, listed, percent

FILE = Path(__file__).with_name("checklists.toml")
FEW = 8


@dataclass(frozen=True, kw_only=True)
class AskedItem:
    """What a guideline asks: its number, its section, and the keys of ``ANSWERS`` that a run may know."""

    number: str
    section: str
    asks: str
    known: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Guideline:
    """A reporting guideline: its name and version, what it is for, its source, the name of its file, all its items."""

    name: str
    version: str
    title: str
    source: str
    file: str
    items: tuple[AskedItem, ...]


@dataclass(frozen=True, kw_only=True)
class FilledItem:
    """An item with what the run says to it; empty where it says nothing, and people have to."""

    item: AskedItem
    answer: str


@dataclass(frozen=True, kw_only=True)
class Checklist:
    """A guideline, filled in."""

    guideline: Guideline
    items: tuple[FilledItem, ...]

    @property
    def answered(self) -> int:
        """How many items the run says something to; it may not be all that is asked for."""
        return sum(bool(each.answer) for each in self.items)


def checklists(run: RunContents) -> list[Checklist]:
    """All guidelines, filled in as far as a run knows.

    Args:
        run: One that was judged, or not yet.

    Returns:
        Each item of each guideline, in order; an answer is what was recorded, and never a claim that it suffices.
    """
    said = {key: answer(run) for key, answer in ANSWERS.items()}
    return [
        Checklist(
            guideline=each,
            items=tuple(
                FilledItem(item=item, answer=" ".join(filter(None, (said[key] for key in item.known))))
                for item in each.items
            ),
        )
        for each in guidelines()
    ]


@cache
def guidelines() -> tuple[Guideline, ...]:
    """The guidelines that are known."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(from_json(Guideline, table) for table in tables.values())


def _judged(run: RunContents) -> tuple[str, Evaluation] | None:
    """The split that the headline is about, and how well the network does there."""
    found = run.evaluation or {}
    return next(
        ((split, found[split]) for split in ("test", "val") if split in found and found[split].n), None
    )


def _data(run: RunContents) -> str:
    return f"Images of {run.data.name}." if run.data.name else ""


def _counts(run: RunContents) -> str:
    parts = []
    for split, found in run.data.counts.items():
        of = ", ".join(f"{name} {integer(count)}" for name, count in list(found.items())[:FEW])
        more = ", …" if len(found) > FEW else ""
        parts.append(
            f"{SPLITS[split]}: {integer(sum(found.values()))}{f' ({of}{more})' if run.data.classes else ''}"
        )
    groups = f", of {counted(run.data.groups, 'group')}" if run.data.groups else ""
    return f"Images{groups}: {'; '.join(parts)}."


def _excluded(run: RunContents) -> str:
    if not run.data.excluded:
        return "No image had to be left out."
    left = len(run.data.excluded)
    total = left + sum(sum(found.values()) for found in run.data.counts.values())
    return (
        f"{counted(left, 'file')} ({percent(left / total)}) could not be used; the reasons are in the report."
    )


def _target(run: RunContents) -> str:
    if run.data.classes:
        return f"The label of each image: {listed(run.data.classes, FEW)}."
    names = listed(run.data.target_names, FEW) or "a number"
    return f"{names[0].upper()}{names[1:]} for each image{f', in {run.data.unit}' if run.data.unit else ''}."


def _predictors(run: RunContents) -> str:
    beside = listed(run.data.covariate_names, FEW)
    return f"The pixels of the image{f', and {beside}' if beside else ' alone'}."


def _groups(run: RunContents) -> str:
    if not run.data.groups:
        return "The single image: no groups, such as patients, were named."
    return f"The group, such as the patient: {integer(run.data.groups)}, none of which was divided."


def _beginning(run: RunContents) -> str:
    return " ".join(run.beginnings[:1]) or "Random weights."


def _selection(run: RunContents) -> str:
    return f"The epoch that did best on the validation images: {integer(run.best)}." if run.best else ""


def _ensemble(run: RunContents) -> str:
    if run.data.folds:
        kept = (run.folder / ENSEMBLE).exists()
        return f"The mean of the {len(run.data.folds)} networks of the folds ({ENSEMBLE})." if kept else ""
    return "One network, no ensemble." if not run.begun else ""


def _imbalance(run: RunContents) -> str:
    if not run.data.classes:
        return ""
    used = {
        "class_weights": "every class had the same weight in the loss",
        "sampling": "every class was shown equally often",
    }
    said = [words for key, words in used.items() if run.recipe.get(key) == "balanced"]
    return f"{' and '.join(said).capitalize()}." if said else "Nothing was done about rare classes."


def _calibration(run: RunContents) -> str:
    judged = _judged(run)
    found = judged[1].calibration if judged else None
    if found is None:
        return ""
    if found.before is None:
        return "No temperature: none bettered the validation images by more than chance."
    return f"Probabilities were scaled by the temperature {found.temperature:.3g}, learnt from the validation images."


def _output(run: RunContents) -> str:
    if not run.data.classes:
        return "A number for each target, with an interval where one could be learnt."
    judged = _judged(run)
    threshold = " ".join(methods.threshold_sentences(judged[1])) if judged else ""
    return f"A probability for each class; the answer is the most probable one. {threshold or 'No other threshold.'}"


def _measures(run: RunContents) -> str:
    judged = _judged(run)
    return (
        f"{listed(list(dict.fromkeys(shown(each).label for each in judged[1].metrics)), 20)}."
        if judged
        else ""
    )


def _uncertainty(run: RunContents) -> str:
    judged = _judged(run)
    if not judged:
        return ""
    known = [each for each in judged[1].metrics if each.low is not None]
    return f"{listed(list(dict.fromkeys(shown(each).method for each in known)), 6)}." if known else ""


def _result(run: RunContents) -> str:
    return f"{headline(run).answer}{f' ({headline(run).interval})' if headline(run).interval else ''}."


def _diagnostic(run: RunContents) -> str:
    judged = _judged(run)
    if not judged:
        return ""
    if said := " ".join(methods.threshold_sentences(judged[1])):
        return said
    return "Per class in tables/per_class.csv." if judged[1].per_class else ""


def _failures(run: RunContents) -> str:
    judged = _judged(run)
    if not judged or not judged[1].per_class:
        return "The largest errors are listed in the report." if judged else ""
    return "The mistakes are in the confusion matrix and the pictures of the report, the surest of them listed by name."


def _parts(run: RunContents) -> str:
    judged = _judged(run)
    return " ".join(said_of_parts(test) for test in judged[1].by_tests) if judged else ""


def _seeds(run: RunContents) -> str:
    if len(run.data.seeds) > 1:
        return f"The training was made with {len(run.data.seeds)} seeds."
    return f"Cross-validation with {len(run.data.folds)} folds." if run.data.folds else ""


def _maps(run: RunContents) -> str:
    methods_used = list(dict.fromkeys(item.method for item in run.maps or ()))
    return f"Maps of where the network looks: {listed(methods_used, FEW)}." if methods_used else ""


def _mark(run: RunContents) -> str:
    return f"This is {mark(run)}." if mark(run) else ""


def _code(run: RunContents) -> str:
    version = f" {run.environment.mirada}" if run.environment.mirada else ""
    return f"The software is Mirada{version} (Apache-2.0); the command of the run is in the report."


def _model(run: RunContents) -> str:
    size = f"{integer(run.network.parameters)} parameters"
    return f"{run.network.name}, {size}, layer by layer in the report; the weights are in the model file."


ANSWERS: dict[str, Callable[[RunContents], str]] = {
    "data": _data,
    "counts": _counts,
    "excluded": _excluded,
    "target": _target,
    "predictors": _predictors,
    "pixels": lambda run: run.network.preprocessing,
    "splits": lambda run: run.data.split_note,
    "groups": _groups,
    "network": lambda run: " ".join(methods.network_sentences(run)),
    "model": _model,
    "beginning": _beginning,
    "training": lambda run: " ".join(methods.training_sentences(run)),
    "selection": _selection,
    "ensemble": _ensemble,
    "imbalance": _imbalance,
    "calibration": _calibration,
    "output": _output,
    "measures": _measures,
    "uncertainty": _uncertainty,
    "result": _result,
    "diagnostic": _diagnostic,
    "failures": _failures,
    "parts": _parts,
    "seeds": _seeds,
    "maps": _maps,
    "mark": _mark,
    "software": lambda run: " ".join(methods.software_sentences(run)),
    "code": _code,
}

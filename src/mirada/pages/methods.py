"""A paragraph for the methods section of a paper, written from the records of a run, and what no record knows."""

from collections.abc import Iterator, Mapping
from typing import Any

from mirada.errors import counted
from mirada.evaluation.evaluate import Evaluation, Measured
from mirada.events import LoadReport, Started
from mirada.pages.operating import rule_words
from mirada.pages.overview import file_name, headline, leading, mark, nothing
from mirada.pages.words import SPLITS, shown
from mirada.runs.reader import RunContents
from mirada.text import integer, listed, number

FEW = 6  # classes that are named
OPTIMIZERS = {
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "stochastic gradient descent",
    "notes": "gradient descent with momentum",
    "rmsprop": "RMSprop",
    "rmsprop_tf": "RMSprop in the form of TensorFlow",
}
WORDS = {"lr": "learning rate", "eps": "ε", "alpha": "share", "kind": ""}
AVERAGES = {"ema": "their exponential moving average", "polyak": "their mean"}
UNKNOWN = (
    "where the images come from, how they were chosen, and over which time",
    "who labelled them, by which rule, and how well labellers agree",
    "who the people in them are, and which permissions there are to use them",
    "how the sample size was chosen, and whether the analysis was planned before",
    "whether other images, of another place or time, were ever judged",
)


def methods_paragraph(run: RunContents) -> str:
    """What a reader has to know to judge a run, in sentences that can be put into a paper.

    Args:
        run: One that was judged, or not yet; what is not recorded is not said.

    Returns:
        One paragraph, without line breaks.
    """
    parts = (
        _data(run),
        network_sentences(run),
        training_sentences(run),
        _judgement(run),
        software_sentences(run),
    )
    return " ".join(sentence for part in parts for sentence in part if sentence)


def _data(run: RunContents) -> Iterator[str]:
    data = run.data
    sums = {split: sum(found.values()) for split, found in data.counts.items()}
    total = counted(sum(sums.values()), "image")
    what = f"{len(data.classes)} classes ({listed(data.classes, FEW)})" if data.classes else _numbers(run)
    shares = ", ".join(
        f"{integer(count)} for {'training' if split == 'train' else 'validation' if split == 'val' else 'the test'}"
        for split, count in sums.items()
    )
    yield f"{total} of {what} were used{f': {shares}' if len(sums) > 1 else ''}."
    if data.groups:
        yield f"They belong to {counted(data.groups, 'group')}, none of which was divided between splits."
    if data.split_note:
        yield data.split_note
    if data.excluded:
        yield f"{counted(len(data.excluded), 'file')} could not be used."
    if run.network.preprocessing:
        yield f"Pixels: {run.network.preprocessing[0].lower()}{run.network.preprocessing[1:]}"


def _numbers(run: RunContents) -> str:
    of = listed(run.data.target_names, FEW) or "a number"
    return f"known {of}{f' in {run.data.unit}' if run.data.unit else ''}"


def network_sentences(run: RunContents) -> Iterator[str]:
    """What was trained, what it began with, and what it reads beside the image."""
    network = run.network
    yield f"The network is {network.name} with {integer(network.parameters)} parameters."
    if any(isinstance(event, LoadReport) for event in run.events):
        yield f"It began with the weights {file_name(str(run.recipe.get('weights', '')))}."
    elif not run.begun:
        yield "It began with random weights."
    if run.data.covariate_names:
        yield f"It also reads {listed(run.data.covariate_names, FEW)}, which join the features before its head."


def training_sentences(run: RunContents) -> Iterator[str]:
    """How it was trained, as the recipe has it."""
    recipe = run.recipe
    optimizer, schedule = _table(recipe, "optimizer"), _table(recipe, "schedule")
    epochs, batch = recipe.get("epochs"), recipe.get("batch_size")
    if epochs and batch and optimizer:
        how = OPTIMIZERS.get(str(optimizer.get("kind")), str(optimizer.get("kind")))
        yield (
            f"It was trained for {counted(int(epochs), 'epoch')} in batches of {batch} by {how}"
            f"{_settings(optimizer)}, with the rate {_falling(schedule)}."
        )
    told = next((event.augmentation for event in run.events if isinstance(event, Started)), "")
    if told:
        yield "Training images were not augmented." if told == "none" else f"Augmentation: {told}."
    if smoothing := recipe.get("label_smoothing"):
        yield f"Labels were smoothed by {smoothing:g}."
    if clip := recipe.get("clip"):
        yield f"Gradients were shortened to the norm {clip:g}."
    if frozen := recipe.get("freeze"):
        yield f"Kept as they were: {', '.join(frozen) if isinstance(frozen, list) else frozen}."
    if kept := AVERAGES.get(str(_table(recipe, "average").get("kind"))):
        yield f"In the place of the last weights, {kept} was judged."
    if (seed := recipe.get("seed")) is not None and not run.data.seeds:
        yield f"The seed of everything random was {seed}."
    best = "the lowest mean absolute error" if run.data.numeric else "the highest accuracy"
    if "val" in run.data.counts and not run.begun:
        number = f", number {run.best}" if run.best else ""
        yield f"Kept were the weights of the epoch with {best} on the validation images{number}."


def _table(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = recipe.get(name)
    return found if isinstance(found, Mapping) else {}


def _settings(table: Mapping[str, Any]) -> str:
    """The settings of a kind that are not 0, in brackets: `` (learning rate 0.1, momentum 0.9)``."""
    said = [
        f"{WORDS.get(key, key.replace('_', ' '))} {value:g}"
        if isinstance(value, float)
        else key.replace("_", " ")
        for key, value in table.items()
        if key != "kind" and value
    ]
    return f" ({', '.join(said)})" if said else ""


def _falling(schedule: Mapping[str, Any]) -> str:
    kind = str(schedule.get("kind", "constant")).replace("_", " ")
    rest = {key: value for key, value in schedule.items() if isinstance(value, float)}
    return f"{'constant' if kind == 'constant' else f'following the schedule {kind}'}{_settings(rest)}"


def _judgement(run: RunContents) -> Iterator[str]:
    data, evaluation = run.data, run.evaluation or {}
    split = next((name for name in ("test", "val") if name in evaluation and evaluation[name].n), "")
    if data.folds:
        yield (
            f"In a cross-validation with {len(data.folds)} folds every image was judged once, by a network that was "
            "not trained on it; what follows is of all images together."
        )
    elif data.seeds:
        yield f"The training was made with {len(data.seeds)} seeds on the same split: {headline(run).answer}."
    elif split == "test":
        yield "The test images were used once, after training."
    elif split == "val":
        yield "There was no test split: what follows is of the validation images, which helped to choose the weights."
    if said := mark(run):
        yield f"The weights that it began with had learnt from some test images, so this is {said}."
    if (said := nothing(run)) and run.begun:
        yield f"{said[0].upper()}{said[1:]}."
    if split:
        first = leading(evaluation[split].metrics)
        yield _figure(first, evaluation[split].n, split)
        if evaluation[split].constant:
            yield "The network gives the same answer whatever the image: it has learnt nothing."
        yield from threshold_sentences(evaluation[split])


def threshold_sentences(evaluation: Evaluation) -> Iterator[str]:
    """What holds at the threshold, if there is one, and how it was chosen."""
    point = evaluation.operating
    if not point or not point.thresholds[0].n:
        return
    first = point.thresholds[0]
    values = " and ".join(
        dict.fromkeys(number(end(each.value for each in point.thresholds), 3) for end in (min, max))
    )
    yield (
        f"Images were called {point.positive} at a probability of at least {values}, {rule_words(first.rule)} on "
        f"{counted(first.n, 'image')} that were not trained on."
    )
    rows = [shown(each) for each in point.measures]
    said = (f"{row.label} {row.value}{f' ({row.interval})' if row.interval else ''}" for row in rows)
    yield f"At this threshold: {', '.join(said)}."


def _figure(metric: Measured, n: int, split: str) -> str:
    row = shown(metric)
    span = f" ({row.level} {row.interval}, {row.method})" if row.interval else ""
    return f"The {row.label} on {counted(n, f'{SPLITS[split]} image')} is {row.value}{span}."


def software_sentences(run: RunContents) -> Iterator[str]:
    """Which versions of which software, on which hardware."""
    made = run.environment
    names = {"Mirada": made.mirada, "PyTorch": made.torch, "NumPy": made.numpy, "Python": made.python}
    versions = [f"{name} {version}" for name, version in names.items() if version]
    on = made.processor if made.device in (None, "cpu") else made.device
    precision = f", with matrix products in {made.precision}" if made.precision else ""
    if versions:
        yield f"Software: {', '.join(versions)}{f', on {on}' if on else ''}{precision}."

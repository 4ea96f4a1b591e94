"""``mirada explain --report --beside``: networks with other seeds, and one that was trained on permuted labels."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mirada.cli import run
from mirada.data.augment import Augmentation
from mirada.data.cache import open_cache
from mirada.data.sources import load_data
from mirada.data.splits import complete_splits
from mirada.errors import InvalidArgument
from mirada.inference.model import Model, load_model
from mirada.jobs.explanations import set_aside
from mirada.jobs.explanations_beside import require_alike
from mirada.samples import Classes
from mirada.training.feed import Feed

OPTIONS = ["--model", "resnet20", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def others(trained: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks like the trained one."""
    folder = tmp_path_factory.mktemp("others")
    kinds = {
        "seed": ["--seed", "1"],
        "permuted": ["--set", "permute_labels=true"],
    }
    for name, options in kinds.items():
        assert run(["train", str(shapes), *OPTIONS, *options, "--output", str(folder / name)]) == 0
    return {name: folder / name for name in kinds}


def judged(trained: Path, shapes: Path, output: Path, *beside: Path) -> int:
    named = [word for each in beside for word in ("--beside", str(each))]
    options = ["--report", "--output", str(output), "--device", "cpu", *named]
    return run(["explain", str(trained), str(shapes), *options])


@pytest.mark.slow
def test_a_verdict_for_seeds_and_one_for_permuted_labels(
    trained: Path, shapes: Path, others: dict[str, Path], tmp_path: Path
) -> None:
    """Both statistics are computed again here, with SciPy, from the maps that ``explain`` makes of each network."""
    assert judged(trained, shapes, tmp_path, others["permuted"], others["seed"]) == 0
    told = json.loads((tmp_path / "explanations.json").read_text())
    page = (tmp_path / "explanations.html").read_text()
    verdicts = {each["test"]: each for each in told["verdicts"]}
    model = load_model(trained, device="cpu")
    for name, test, sign in (("seed", "Seeds", float), ("permuted", "Label randomisation", abs)):
        other = load_model(others[name], device="cpu")
        expected = [sign(rho(model, other, shapes / path)) for path in told["paths"]]
        assert verdicts[test]["value"] == pytest.approx(np.mean(expected), abs=1e-4)
        assert verdicts[test]["per_image"] == pytest.approx(expected, abs=1e-4)
        assert f"{test}</a>" in page


def rho(one: Model, other: Model, path: Path) -> float:
    """Spearman's correlation of the maps of the class that the first network answers."""
    (first,) = one.explain([path])
    answer = one.card.target.names[int(one.predict([path]).outputs.argmax())]
    (second,) = other.explain([path], target=answer)
    return float(stats.spearmanr(first.map.ravel(), second.map.ravel()).statistic)


def test_the_run_with_permuted_labels_says_so_and_keeps_its_last_epoch(others: dict[str, Path]) -> None:
    record = json.loads((others["permuted"] / "data.json").read_text())
    assert any("training labels are permuted" in note for note in record["notes"])
    best, last = (
        load_model(others["permuted"] / file)
        for file in ("model.safetensors", "checkpoints/last.safetensors")
    )
    assert all(
        torch.equal(value, last.network.state_dict()[key]) for key, value in best.network.state_dict().items()
    )


def refused(capsys: pytest.CaptureFixture[str], code: int) -> str:
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and "Traceback" not in error
    return error


def test_other_networks_are_refused(
    trained: Path, shapes: Path, others: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in one sentence that says what is unlike, and nothing is written."""
    output = tmp_path / "report"
    cases = {
        "has the judged one's seed": (trained, [trained]),
        "one at most": (trained, [others["permuted"], others["permuted"]]),
        "must not be the judged one": (others["permuted"], [others["seed"]]),
    }
    for told, (model, beside) in cases.items():
        capsys.readouterr()
        assert told in refused(capsys, judged(model, shapes, output, *beside))
    assert not output.exists()
    code = run(["explain", str(trained), str(shapes), "--beside", str(others["seed"])])
    assert "--beside goes with --report" in refused(capsys, code)


@pytest.mark.parametrize(
    ("told", "changes"),
    [
        (r"other settings \(optimizer.lr\)", {"recipe": {"optimizer": {"lr": 1.0}}}),
        ("not the same network", {"architecture": {"model": "resnet32"}}),
        ("in another way", {"preprocessing": {"size": (40, 40)}}),
        ("other classes", {"target": Classes(("a", "b", "c", "d"))}),
        ("12 images of the 12 to be judged taught it", {"provenance": "turned"}),
    ],
)
def test_what_has_to_be_alike(
    trained: Path, shapes: Path, others: dict[str, Path], told: str, changes: dict[str, Any]
) -> None:
    """A network with another seed, of whose card one thing is changed; as it is, it may stand beside the other."""
    model, other = (load_model(file, device="cpu") for file in (trained, others["seed"]))
    index = set_aside(model, load_data(shapes), trained / "splits.csv")[0]
    require_alike(model, [other], index)
    card = other.card
    match changes:
        case {"recipe": recipe}:
            card = replace(
                card, recipe={**card.recipe, "optimizer": {**card.recipe["optimizer"], **recipe["optimizer"]}}
            )
        case {"provenance": _}:
            images = card.provenance["images"]
            turned = {**images, "train": images["test"], "test": images["train"]}
            card = replace(card, provenance={**card.provenance, "images": turned})
        case {"target": target}:
            card = replace(card, target=target)
        case _:
            ((name, values),) = changes.items()
            card = replace(card, **{name: replace(getattr(card, name), **values)})
    with pytest.raises(InvalidArgument, match=f"network 1 beside the judged one: .*{told}"):
        require_alike(model, [replace(other, card=card)], index)


@pytest.mark.parametrize("balanced", [False, True])
def test_permuted_labels_are_those_of_the_training_dealt_out_anew(
    trained: Path, shapes: Path, balanced: bool
) -> None:
    """As many of each class, others for most images; validation, and the index itself, keep theirs."""
    model = load_model(trained, device="cpu")
    index = complete_splits(load_data(shapes), val_fraction=0.2, test_fraction=0.2, seed=0)[0]
    cache = open_cache(index, model.card.preprocessing)
    before = cache.index.targets.copy()
    plain, permuted, again = (
        Feed(cache=cache, card=model.card, compute=model.compute, augmentation=Augmentation(), batch_size=8,
             balanced=balanced, seed=3, permuted=each)
        for each in (False, True, True)
    )  # fmt: skip
    assert np.array_equal(cache.index.targets, before)
    assert torch.equal(permuted.targets, again.targets) and np.array_equal(permuted.labels, again.labels)
    rest = np.setdiff1d(np.arange(len(before)), plain.train_rows)
    assert np.array_equal(permuted.targets.numpy()[rest], before[rest])
    assert np.array_equal(np.bincount(permuted.labels), np.bincount(plain.labels))
    assert 0.5 < (permuted.labels != plain.labels).mean() < 1
    batch = next(permuted.epoch(1))
    order = permuted.order(1)[: len(batch.targets)]
    assert np.array_equal(batch.targets.numpy(), permuted.targets.numpy()[order])

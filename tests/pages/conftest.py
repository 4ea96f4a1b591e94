"""A made-up run folder as training leaves it, for classification and for regression."""

import csv
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

RECIPE = """\
model = "resnet18"
epochs = 40
batch_size = 64
lr = 0.1
seed = 0
image_size = [64, 64]
patience = 10
note = ""

[augment]
flip = true
rotate = 10.0

[optimiser]
name = "sgd"
momentum = 0.9
"""
SUMMARY = """\
layer                    output            kernel  stride  parameters        MACs  receptive field
stem.conv                64 × 32 × 32       7 × 7       2       9,408   9,633,792                7
stem.norm                64 × 32 × 32                             128                            7
stem.pool                64 × 16 × 16       3 × 3       2                                       11
stage1.0.conv1           64 × 16 × 16       3 × 3       1      36,864   9,437,184               19
head.linear              2                                      1,026       1,024              all
"""


def write_table(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def epoch_rows(epochs: int, metrics: Callable[[float], dict[str, float]]) -> list[dict[str, Any]]:
    """Results of a run whose validation loss turns up again towards the end."""
    rng = random.Random(1)
    rows = []
    for epoch in range(1, epochs + 1):
        done = epoch / max(epochs, 10)
        rows.append(
            {
                "epoch": epoch,
                "seconds": round(9.1 + rng.random(), 2),
                "images_per_second": round(95 + 6 * rng.random(), 1),
                "lr": f"{0.1 * (1 - 0.99 * done):.6g}",
                "train_loss": round(0.18 + 0.6 * 0.05**done + 0.02 * rng.random(), 4),
                "val_loss": round(0.45 + 0.4 * (done - 0.65) ** 2 + 0.06 * rng.random(), 4),
                **metrics(done + 0.08 * rng.random()),
            }
        )
    return rows


def class_results(classes: Sequence[str], split: str, n: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An evaluation and the predictions it was made from."""
    rng = random.Random(split)
    confusion = [[0] * len(classes) for _ in classes]
    predictions = []
    for number in range(n):
        target = number % len(classes)
        near = (target + rng.choice((1, 1, 1, 2, 5))) % len(classes)
        predicted = target if rng.random() < 0.75 else near
        confusion[target][predicted] += 1
        probability = round(rng.uniform(0.5, 0.99), 4)
        rest = (1 - probability) / max(1, len(classes) - 1)
        predictions.append(
            {
                "path": f"{split}_set/{classes[target]}/{number:04d}.jpg",
                "split": split,
                "target": classes[target],
                "predicted": classes[predicted],
                "probability": probability,
                "correct": int(predicted == target),
                **{f"p:{name}": probability if k == predicted else rest for k, name in enumerate(classes)},
            }
        )
    per_class = []
    for number, name in enumerate(classes):
        hits, total = confusion[number][number], sum(confusion[number])
        chosen = sum(row[number] for row in confusion)
        precision = hits / chosen if chosen else None
        recall = hits / total if total else None
        f1 = 2 * hits / (chosen + total) if chosen + total else None
        per_class.append({"name": name, "n": total, "precision": precision, "recall": recall, "f1": f1})
    share = sum(confusion[k][k] for k in range(len(classes))) / n
    metrics = [
        metric("accuracy", share, share - 0.036, share + 0.034, "Wilson 95 %"),
        metric(
            "balanced_accuracy", share - 0.001, share - 0.04, share + 0.034, "bootstrap 95 %, 2,000 draws"
        ),
        metric("log_loss", 0.548, 0.49, 0.607, "bootstrap 95 %, 2,000 draws"),
    ]
    calibration = {"temperature": 1.74, "before": reliability(0.11), "after": reliability(0.03)}
    return {
        "n": n,
        "metrics": metrics,
        "per_class": per_class,
        "confusion": confusion,
        "calibration": calibration,
    }, predictions


def metric(name: str, value: float | None, *rest: Any) -> dict[str, Any]:
    low, high, method, unit = (*rest, "") if len(rest) == 3 else rest
    found = {"name": name, "value": value, "low": low, "high": high, "method": method, "unit": unit}
    return found | {"level": None if low is None else 0.95, "n": 400}


def value_results(split: str, n: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rng = random.Random(split)
    predictions = []
    for number in range(n):
        target = round(rng.triangular(4, 228, 150))
        predicted = round(0.93 * target + 8 + rng.gauss(0, 11), 2)
        predictions.append(
            {
                "path": f"hands/{number + 1377}.png",
                "split": split,
                "target": target,
                "predicted": predicted,
                "error": round(predicted - target, 2),
            }
        )
    method = "bootstrap 95 %, 2,000 draws"
    metrics = [
        metric("mae", 9.412, 8.871, 9.987, method, "months"),
        metric("rmse", 11.83, 11.2, 12.51, method, "months"),
        metric("r2", 0.912, 0.897, 0.925, method, ""),
        metric("bias", -1.2, -2.3, -0.1, method, "months"),
        metric("loa_low", -24.1, -26.0, -22.2, method, "months"),
        metric("loa_high", 21.7, 19.8, 23.6, method, "months"),
    ]
    held = {"covered": 0.8875, "low": 0.853, "high": 0.915, "method": "Wilson 95 %"}
    return {
        "n": n,
        "metrics": metrics,
        "parts": [
            part("", "under 80", 0.2 * n, 11.3),
            part("", "80 and over", 0.8 * n, 8.9),
            part("male", "male = 0", 0.5 * n, 9.9),
            part("male", "male = 1", 0.5 * n, None),
        ],
        "coverage": [
            {"target": "", "level": 0.9, "half_width": 17.25, "learnt_from": 200, "n": n} | held,
        ],
    }, predictions


def part(covariate: str, name: str, n: float, mae: float | None) -> dict[str, Any]:
    """The error of some of the images; without a number where none is given."""
    low, high = (None, None) if mae is None else (mae - 1.5, mae + 1.5)
    return {
        "target": "", "covariate": covariate, "name": name, "n": int(n), "mae": mae, "low": low, "high": high,
        "method": "bootstrap 95 %, 2,000 draws",
    }  # fmt: skip


def reliability(ece: float) -> dict[str, Any]:
    """Three bins whose share of right answers lies ``ece`` below their confidence."""
    bins = [
        {
            "low": low / 15, "high": (low + 1) / 15, "n": n, "confidence": (low + 0.6) / 15,
            "share": (low + 0.6) / 15 - ece, "share_low": max(0.0, low / 15 - ece - 0.1), "share_high": low / 15,
        }
        for low, n in ((8, 60), (11, 140), (14, 400))
    ]  # fmt: skip
    return {"log_loss": 0.5 + ece, "brier": 0.3 + ece, "ece": ece, "ece_by_chance": 0.021, "bins": bins}


def write_maps(run: Path, predictions: Sequence[dict[str, Any]], unit: str) -> None:
    """Three explained images per section, with small one-colour pictures."""
    (run / "maps").mkdir()
    items = []
    for number, row in enumerate([*predictions[:9]]):
        section = ("wrong", "uncertain", "typical")[number // 3]
        names = {"image": f"maps/{number:03d}-photo.jpg", "overlay": f"maps/{number:03d}-overlay.jpg"}
        for colour, name in zip(((90, 120, 100), (200, 60, 40)), names.values(), strict=True):
            Image.new("RGB", (8, 8), colour).save(run / name)
        items.append(
            {
                "section": section,
                "path": row["path"],
                "split": row["split"],
                "target": row["target"],
                "predicted": row["predicted"],
                "probability": row.get("probability"),
                "explained": f"evidence for {unit or row['predicted']}",
                "method": "class activation map (exact)",
                "limit": 3.2 + number,
                "unit": unit or "logits",
                "note": "no positive evidence for this class anywhere" if number == 4 else "",
                **names,
            }
        )
    write_json(run / "maps.json", items)


def write_cells(run: Path, predictions: Sequence[dict[str, Any]]) -> None:
    """A picture of the first image of each cell of the confusion matrix that has some, at most 30."""
    (run / "cells").mkdir()
    first = {(row["target"], row["predicted"]): row for row in reversed(predictions)}
    cells = []
    for number, ((true, predicted), row) in enumerate(list(first.items())[:30]):
        name = f"cells/{number:03d}.jpg"
        Image.new("RGB", (8, 8), (number, 90, 120)).save(run / name)
        image = {"path": row["path"], "probability": row["probability"], "image": name}
        cells.append({"true": true, "predicted": predicted, "images": [image]})
    write_json(run / "cells.json", cells)


def write_common(run: Path, data: dict[str, Any], epochs: int) -> None:
    """The files that are alike in both tasks."""
    (run / "recipe.toml").write_text(
        RECIPE,
        encoding="utf-8",
    )
    write_json(
        run / "environment.json",
        {
            "mirada": "0.1.0",
            "torch": "2.13.0",
            "python": "3.11.7",
            "platform": "Linux 6.1 x86_64",
            "processor": "AMD EPYC 7R13",
            "threads": 2,
            "device": "cpu",
            "precision": "float32",
            "command": f"mirada train {data['root']} --model resnet18 --epochs 40 --seed 0",
            "started": "2026-11-14 09:26:31 +01:00",
            "seconds": 9.7 * epochs,
        },
    )
    write_json(run / "data.json", data)
    write_json(
        run / "model.json",
        {
            "name": "resnet18",
            "parameters": 11_177_538,
            "macs": 148_000_000,
            "image": [3, 64, 64],
            "preprocessing": "Each image is stretched to 64 × 64 pixels, RGB, and normalised per channel.",
            "summary": SUMMARY,
        },
    )
    best = max(1, round(0.65 * epochs))
    events = [
        {"event": "started"},
        {"event": "best", "epoch": 1},
        {"event": "best", "epoch": best},
        {"event": "stopped", "reason": "failed", "text": "the disk of the machine was full."},
    ]
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    Image.new("RGB", (32, 16), (120, 130, 90)).save(run / "samples.jpg")
    (run / "model.safetensors").write_bytes(b"weights")


def make_classification(run: Path, classes: Sequence[str], *, epochs: int = 24, images: int = 600) -> Path:
    """A finished classification run in a new folder ``run``."""
    run.mkdir(parents=True)
    per_split = {"train": 464, "val": 116, "test": max(1, images // len(classes))}
    data = {
        "root": "pictures/cats-dogs",
        "task": "classification",
        "classes": list(classes),
        "unit": "",
        "counts": {
            split: {name: max(0, n - 7 * k) for k, name in enumerate(classes)}
            for split, n in per_split.items()
        },
        "excluded": [
            {
                "path": "training_set/cats/cat.77.jpg",
                "reason": "cannot be decoded: truncated after 12,288 bytes",
            },
            {"path": "training_set/dogs/_DS_Store", "reason": "not an image"},
        ],
        "split_note": "The validation split is a fifth of training_set, drawn per class with seed 0.",
    }
    write_common(run, data, epochs)
    write_table(
        run / "results.csv",
        epoch_rows(epochs, lambda done: {"val_accuracy": round(0.55 + 0.22 * done**0.5, 4)}),
    )
    val, val_rows = class_results(classes, "val", images // 2)
    test, test_rows = class_results(classes, "test", images)
    write_json(run / "evaluation.json", {"val": val, "test": test})
    write_table(run / "predictions.csv", val_rows + test_rows)
    write_maps(run, test_rows, "")
    write_cells(run, test_rows)
    return run


def make_regression(run: Path, *, epochs: int = 24, images: int = 400) -> Path:
    """A finished regression run in a new folder ``run``."""
    run.mkdir(parents=True)
    data = {
        "root": "boneage",
        "task": "regression",
        "classes": [],
        "unit": "months",
        "counts": {"train": {"months": 1600}, "val": {"months": 200}, "test": {"months": images}},
        "excluded": [],
        "split_note": "The splits were drawn by patient with seed 0, so no patient is in two of them.",
    }
    write_common(run, data, epochs)

    def metrics(done: float) -> dict[str, float]:
        return {
            "val_mae": round(9 + 20 * 0.1**done, 3),
            "val_rmse": round(12 + 24 * 0.1**done, 3),
            "val_r2": round(0.9 - 0.5 * 0.1**done, 4),
        }

    write_table(run / "results.csv", epoch_rows(epochs, metrics))
    val, val_rows = value_results("val", images // 2)
    test, test_rows = value_results("test", images)
    write_json(run / "evaluation.json", {"val": val, "test": test})
    write_table(run / "predictions.csv", val_rows + test_rows)
    write_maps(run, [{**row, "predicted": float(row["predicted"])} for row in test_rows], "months")
    return run


@pytest.fixture
def classification(tmp_path: Path) -> Path:
    """A finished run on cats and dogs."""
    return make_classification(tmp_path / "run", ["cats", "dogs"])


@pytest.fixture
def regression(tmp_path: Path) -> Path:
    """A finished run on bone age."""
    return make_regression(tmp_path / "run-regression")


@pytest.fixture
def many_classes(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a finished run with so many classes."""
    return lambda n: make_classification(
        tmp_path / f"run{n}", [f"species {k:02d}" for k in range(n)], images=30 * n
    )

"""What a network for bone age must beat: the mean age, and linear regression on 32 × 32 pixels.

Run it as ``python docs/guide/bone_age_baselines.py TABLE SPLITS``, with the table of X-rays and the ``splits.csv`` of
a run. It fits on that run's training images and prints the error on its test images, measured as for a network.
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirada import Predictions, Preprocessing, evaluate, load_data
from mirada.data.cache import Cache, open_cache

TARGET = "boneage (months)"
SIDE = 32
PENALTIES = np.logspace(0, 5, 21)
MODELS = {
    "mean": DummyRegressor(strategy="mean"),
    "median": DummyRegressor(strategy="median"),
    "least squares": LinearRegression(),
    "ridge": make_pipeline(StandardScaler(), RidgeCV(PENALTIES)),
}


def predictions(table: str, splits: str) -> Iterator[tuple[str, Predictions]]:
    """Each baseline's predictions of the test images."""
    index = load_data(table, target=TARGET, covariates="male", split=splits)
    grey = Preprocessing(mode="L", size=(SIDE, SIDE), mean=(0.0,), std=(1.0,))
    cache = open_cache(index, grey)
    known = pixels_and_sex(cache)
    train, test = (cache.index.rows(split) for split in ("train", "test"))
    judged = cache.index.take(test)
    for name, model in MODELS.items():
        model.fit(known[train], cache.index.targets[train, 0])
        yield name, Predictions.of(judged, model.predict(known[test])[:, None])


def pixels_and_sex(cache: Cache) -> NDArray[np.float64]:
    """What is known of each image: its grey values 0 … 1, row by row, and the covariate (N, SIDE² + 1)."""
    pixels = cache.pixels[cache.rows].reshape(len(cache.index), -1) / 255
    return np.hstack([pixels, cache.index.covariates])


def main() -> None:
    """Prints a line for each baseline."""
    table, splits = sys.argv[1:]
    for name, predicted in predictions(table, splits):
        mae = next(metric for metric in evaluate(predicted).metrics if metric.key == "mae")
        months = (mae.value, mae.low, mae.high)
        years = (value / 12 for value in months)
        print("{:<14} MAE {:.1f} ({:.1f}–{:.1f}) months,".format(name, *months), end=" ")
        print("{:.2f} ({:.2f}–{:.2f}) years".format(*years))


if __name__ == "__main__":
    main()

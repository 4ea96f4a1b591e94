"""The lecture notes' Keras example (cats and dogs), unchanged in what it computes, as one process.

Network, optimiser, loss, generators and batch size are those of the notes. What differs, and why:
``ImageDataGenerator`` comes from ``legacy``, where Keras 3 keeps it; ``fit`` stands for ``fit_generator``,
which is gone; an epoch is one pass over the folder. (The notes say ``steps_per_epoch = 8000`` and call it a
number of samples; Keras counts batches. One pass is what their comment describes.)

Needs only Keras, TensorFlow, Pillow and SciPy. Its last line of output is one JSON object.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import time
from pathlib import Path

os.environ.setdefault(
    "TF_CPP_MIN_LOG_LEVEL", "2"
)  # before TensorFlow is loaded: its greeting is not a result

import keras
from keras.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
from keras.src.legacy.preprocessing.image import ImageDataGenerator


def build_network() -> keras.Model:
    """The network of the notes: 813,217 parameters."""
    network = keras.Sequential(
        [
            Input((64, 64, 3)),
            Conv2D(32, (3, 3), activation="relu"),
            MaxPooling2D(pool_size=(2, 2)),
            Conv2D(32, (3, 3), activation="relu"),
            MaxPooling2D(pool_size=(2, 2)),
            Flatten(),
            Dense(units=128, activation="relu"),
            Dense(units=1, activation="sigmoid"),
        ]
    )
    network.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return network


def flow(generator: ImageDataGenerator, folder: Path, seed: int):
    """Batches of one folder, as the notes read it."""
    return generator.flow_from_directory(
        folder, target_size=(64, 64), batch_size=32, class_mode="binary", seed=seed
    )


def train(data: Path, *, seed: int, epochs: int) -> dict[str, object]:
    """Trains on ``data/training_set`` and validates on ``data/test_set`` after every epoch."""
    keras.utils.set_random_seed(seed)
    augmented = ImageDataGenerator(rescale=1.0 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
    training_set = flow(augmented, data / "training_set", seed)
    test_set = flow(ImageDataGenerator(rescale=1.0 / 255), data / "test_set", seed)
    network = build_network()
    started = time.perf_counter()
    history = network.fit(training_set, epochs=epochs, validation_data=test_set, verbose=2).history
    fit_s = time.perf_counter() - started
    accuracies = [round(float(value), 6) for value in history["val_accuracy"]]
    return {
        "parameters": network.count_params(),
        "training_images": training_set.n,
        "val_images": test_set.n,
        "val_accuracy": accuracies,
        "val_accuracy_last": accuracies[-1],
        "val_accuracy_best": max(accuracies),
        "fit_s": round(fit_s, 3),
    }


def versions() -> dict[str, str]:
    """Python and the packages that do the work."""
    names = ("keras", "tensorflow-cpu", "numpy", "pillow", "scipy")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}


def main() -> None:
    """Reads the arguments, trains, prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with training_set/ and test_set/, a folder per class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    result = train(options.data, seed=options.seed, epochs=options.epochs)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = round(usage.ru_utime + usage.ru_stime, 3)
    print(json.dumps({"seed": options.seed, "cpu_s": cpu_s, **result, "versions": versions()}))


if __name__ == "__main__":
    main()

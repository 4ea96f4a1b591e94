"""fastai as its guide has it: ``ImageDataLoaders`` of a folder, a ``Learner``, ``fit``."""

import time

import plain
import torchvision_on_cpu  # noqa: F401
from fastai.vision.all import (
    Adam,
    Callback,
    Flip,
    ImageDataLoaders,
    Learner,
    Normalize,
    RandomResizedCrop,
    accuracy,
    save_model,
    set_seed,
)
from torchvision import models


class Clock(Callback):
    """Seconds of every epoch, and its validation accuracy; the recorder knows whole seconds only."""

    def before_fit(self) -> None:
        self.seconds, self.accuracies = [], []

    def before_epoch(self) -> None:
        self.started = time.perf_counter()

    def after_epoch(self) -> None:
        self.seconds.append(time.perf_counter() - self.started)
        self.accuracies.append(float(self.recorder.metrics[0].value))


def main() -> None:
    """Trains, and validates after every epoch."""
    options = plain.options(__doc__)
    set_seed(0)
    images = ImageDataLoaders.from_folder(
        options.data, train="train", valid="val", bs=options.batch, num_workers=options.workers, device="cpu",
        item_tfms=RandomResizedCrop(options.size, min_scale=plain.CROP[0]),
        batch_tfms=[Flip(), Normalize.from_stats(plain.MEAN, plain.STD)],
    )  # fmt: skip
    if options.model == "simplecnn":
        network = plain.simplecnn(images.c, options.size)
    else:
        network = models.get_model(options.model, num_classes=images.c)
    clock = Clock()
    learner = Learner(images, network, opt_func=Adam, metrics=accuracy, wd=0.0, cbs=clock)
    with learner.no_logging():
        learner.fit(options.epochs, options.rate)
    save_model(options.weights, network, opt=None)
    plain.tell(clock.seconds, clock.accuracies)


if __name__ == "__main__":
    main()

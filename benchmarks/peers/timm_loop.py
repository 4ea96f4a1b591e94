"""timm's data, transforms, network and optimizer in a plain loop, channels last, as its training script offers."""

import plain
import torch
import torchvision_on_cpu  # noqa: F401
from timm import create_model
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2


def loaders(options: plain.argparse.Namespace) -> tuple[object, object, int]:
    """Training and validation images, and the number of classes."""
    common = {
        "input_size": (3, options.size, options.size), "batch_size": options.batch, "use_prefetcher": False,
        "num_workers": options.workers, "persistent_workers": options.workers > 0, "interpolation": "bilinear",
        "mean": plain.MEAN, "std": plain.STD, "pin_memory": False,
    }  # fmt: skip
    training = create_dataset("", root=str(options.data / "train"), is_training=True)
    validation = create_dataset("", root=str(options.data / "val"))
    return (
        create_loader(training, is_training=True, scale=plain.CROP, hflip=0.5, color_jitter=None, **common),
        create_loader(validation, crop_pct=1.0, crop_mode="squash", **common),
        len(training.reader.class_to_idx),
    )


def main() -> None:
    """Trains, and validates after every epoch."""
    options = plain.options(__doc__)
    torch.manual_seed(0)
    training, validation, classes = loaders(options)
    if options.model == "simplecnn":
        network = plain.simplecnn(classes, options.size)
    else:
        network = create_model(options.model, num_classes=classes)
    network = network.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(network, opt="adam", lr=options.rate, weight_decay=0.0)
    plain.fit(network, training, validation, optimizer, options, torch.channels_last)


if __name__ == "__main__":
    main()

"""A network that is any ``torch.nn.Module`` of one's own: its class builds it, and nothing else can."""

from typing import NoReturn

from mirada.errors import InvalidArgument
from mirada.layers.network import Size


def module(
    name: str, *, num_classes: int, in_channels: int, image_size: Size, class_name: str = ""
) -> NoReturn:
    """Refuses, in one sentence, to build what only its class can build.

    Raises:
        InvalidArgument: Always.
    """
    raise InvalidArgument(
        f"The network is a module of one's own{f', {class_name}' if class_name else ''}, which only its class builds: "
        "in Python, hand it to mirada.train(data, model=module), to mirada.resume(run, model=module) and to "
        "mirada.load_model(file, network=module)."
    )

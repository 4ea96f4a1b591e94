"""The lecture notes' figures and experiments, computed: one file a topic, whose functions return records of numbers.

``TOPICS`` lists them in the order in which they are learnt. The file of a topic has a function ``lesson``, which takes
a ``Material`` and returns the record that its page shows; nothing here knows of pages, languages or terminals.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Topic:
    """A lesson.

    Args:
        name: as it is asked for.
        takes: fields of ``Material`` that it makes use of.
        together: whether it needs all of them, or none.
    """

    name: str
    takes: tuple[str, ...] = ()
    together: bool = False

    @property
    def module(self) -> str:
        """The name of its files: ``receptive-field`` → ``receptive_field``."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Material:
    """What a person brings to a lesson; None where the lesson's own is to be taken.

    Args:
        image: a photo.
        model: a model file.
        data: a folder or table of images.
    """

    image: Path | None = None
    model: Path | None = None
    data: Path | None = None


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("convolution", ("image",)),
        Topic("gradients"),
        Topic("rectifiers", ("model", "data"), together=True),
        Topic("receptive-field", ("model",)),
        Topic("inception"),
        Topic("residual"),
        Topic("optimiser"),
        Topic("cam"),
        Topic("equivalences"),
        Topic("features"),
        Topic("networks"),
    )
}

"""What a finding is: its kind, how serious it is, what it is about and what to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class Kind(StrEnum):
    """Every kind of finding, the most serious first; ``heading`` says it in words."""

    UNREADABLE = "unreadable"
    FEW_CLASSES = "few-classes"
    CONSTANT_TARGET = "constant-target"
    NO_SPLIT = "no-split"
    NO_CLASS = "no-class"
    FEW_IMAGES = "few-images"
    SINGLE_IMAGE = "single-image"
    LOOK_ALIKE = "look-alike"
    TWO_LABELS = "two-labels"
    LEAK = "leak"
    DIVIDED_GROUP = "divided-group"
    LOOK_ALIKE_GROUP = "look-alike-group"
    SHORTCUT = "shortcut"
    LEVEL = "level"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    FLAT = "flat"
    WRONG_EXTENSION = "wrong-extension"
    TINY = "tiny"
    EXTREME_SIZE = "extreme-size"
    EXTREME_SHAPE = "extreme-shape"
    IMBALANCE = "imbalance"
    OUTSIDE_BOX = "outside-box"
    FAR_TARGET = "far-target"
    ROUNDED_TARGET = "rounded-target"
    EXCLUDED = "excluded"
    MIRRORED = "mirrored"
    ROTATED = "rotated"

    @property
    def heading(self) -> str:
        """What stands above the findings of this kind."""
        return HEADINGS[self]


HEADINGS = {
    Kind.UNREADABLE: "Files that cannot be read",
    Kind.FEW_CLASSES: "Fewer than two classes",
    Kind.CONSTANT_TARGET: "Targets that are all the same",
    Kind.NO_SPLIT: "Splits without images",
    Kind.NO_CLASS: "Classes without images",
    Kind.FEW_IMAGES: "Few images",
    Kind.SINGLE_IMAGE: "Classes with a single image",
    Kind.LOOK_ALIKE: "Classes with nearly the same name",
    Kind.TWO_LABELS: "One image with two labels",
    Kind.LEAK: "The same image in two splits",
    Kind.DIVIDED_GROUP: "The same group in two splits",
    Kind.LOOK_ALIKE_GROUP: "Groups with nearly the same name",
    Kind.SHORTCUT: "Something besides the picture tells the label",
    Kind.LEVEL: "Differences in level that are not seen",
    Kind.DUPLICATE: "The same file twice",
    Kind.NEAR_DUPLICATE: "The same picture twice",
    Kind.FLAT: "Images without a picture",
    Kind.WRONG_EXTENSION: "Names that do not fit the content",
    Kind.TINY: "Tiny images",
    Kind.EXTREME_SIZE: "Sizes far from the others",
    Kind.EXTREME_SHAPE: "Shapes far from the others",
    Kind.IMBALANCE: "Unequal classes",
    Kind.OUTSIDE_BOX: "Boxes that are not within their image",
    Kind.FAR_TARGET: "Targets unlike the others",
    Kind.ROUNDED_TARGET: "Rounded targets",
    Kind.EXCLUDED: "Files left out",
    Kind.MIRRORED: "What a mirror would change",
    Kind.ROTATED: "Images turned by their EXIF orientation",
}


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing.

    Args:
        kind: What is wrong.
        severity: ``error`` for what cannot be used, ``warning`` for what will work but not well, and ``info`` for what
            is dealt with and only good to know: it asks for nothing.
        where: The file, the class, the group, the split or ``split/class`` it is about; "" for all of them.
        fact: What is so.
        paths: The images to look at.
        advice: What follows, and what to do; the same words for many findings of a kind.
    """

    kind: Kind
    severity: Severity
    where: str
    fact: str
    paths: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    @property
    def message(self) -> str:
        """The fact with the advice, in one sentence without a full stop."""
        return f"{self.fact}: {self.advice}" if self.advice else self.fact

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "kind": self.kind.value,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "paths": list(self.paths),
        }

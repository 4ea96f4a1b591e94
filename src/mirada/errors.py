"""The errors Mirada raises, and what their sentences are made of: the nearest name, a number with its noun.

Every message says what is wrong, where, what was found, what was expected and what to do, in one sentence
or two. The command line prints the message alone; ``--debug`` shows the traceback.
"""

from collections.abc import Iterable, Mapping


class MiradaError(Exception):
    """The root of all errors that Mirada raises on purpose."""


class InvalidArgument(MiradaError, ValueError):
    """An argument of a function has a value that it cannot have."""


class RecipeError(MiradaError, ValueError):
    """A recipe file or a setting has an unknown key or a value that cannot be used."""


class DataError(MiradaError, ValueError):
    """The images, or the table that names them, cannot be used as they are."""


class CheckpointError(MiradaError, RuntimeError):
    """A model file is damaged, was altered, or is no model file of Mirada's."""


class TrainingError(MiradaError, RuntimeError):
    """Training cannot go on, for example because the loss is no longer a number."""


class ProcessLost(TrainingError):
    """One of the processes that train together is dead, stuck, or has ended with an error."""


class ClusterError(MiradaError, RuntimeError):
    """The scheduler of a cluster does not take a job, or does not cancel it."""


class ContaminationWarning(UserWarning):
    """A network is judged on images that it was trained on."""


def nearest(name: str, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """The end of a message about an unknown name: the nearest known one, then all of them, sorted.

    Args:
        name: What was said.
        known: What could have been.
        synonyms: Other words for some of these, which people bring with them.

    >>> nearest("resnet81", ["lenet5", "resnet18"])
    'Did you mean "resnet18"? Known: lenet5, resnet18.'
    """
    from difflib import get_close_matches  # `mirada --help` goes without

    names = sorted(known)
    meant = {**dict(zip(names, names, strict=True)), **(synonyms or {})}
    close = get_close_matches(name, meant, n=1, cutoff=0.5)
    hint = f'Did you mean "{meant[close[0]]}"? ' if close else ""
    return f"{hint}Known: {', '.join(names)}."


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "patient"), counted(2000, "row")
    ('1 patient', '2,000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def reason_of(error: OSError) -> str:
    """What the system says went wrong, in lower case, to stand in brackets.

    >>> reason_of(FileNotFoundError(2, "No such file or directory")), reason_of(OSError())
    ('no such file or directory', 'unknown reason')
    """
    return (error.strerror or "unknown reason").lower()

"""The run folder of processes that train together: one makes it and writes, the others look on."""

from collections.abc import Callable
from pathlib import Path

from mirada.events import Event, OnEvent
from mirada.processes.ranks import Ranks, here
from mirada.runs.folder import RunFolder
from mirada.runs.onlooker import OnlookerFolder
from mirada.runs.tensorboard import TensorBoard
from mirada.training.recipe import Recipe

NEW, THERE = "new", "there"


def common_folder(ranks: Ranks, make: Callable[[], RunFolder]) -> RunFolder:
    """The folder of a run that these processes train.

    Args:
        ranks: The processes.
        make: Makes a new folder or opens one that is there; the first process alone calls it.

    Returns:
        The folder; in all processes but the first one to look at.
    """
    if ranks.first:
        folder = make()
        ranks.told(f"{NEW if folder.is_new else THERE} {folder.path.absolute()}")
        return folder
    state, _, path = ranks.told("").partition(" ")
    return OnlookerFolder(Path(path), is_new=state == NEW)


def listeners(folder: RunFolder, recipe: Recipe, on_event: OnEvent) -> OnEvent:
    """The run folder hears first, then TensorBoard where it is asked for, then the watcher."""
    heard = [folder.event, on_event]

    def tell(event: Event) -> None:
        for listener in heard:
            listener(event)

    if recipe.tensorboard and here().first:
        heard.insert(1, TensorBoard(folder.path, tell).on_event)
    return tell

"""Public weights: what there is, where it is kept, and how it comes in. ``fetch`` alone opens connections."""

from mirada.errors import InvalidArgument


class StoreError(InvalidArgument):
    """Weights that were asked for are not in the store, cannot be brought into it, or are not what they were."""

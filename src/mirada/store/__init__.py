"""Public weights: what there is, where it is kept, and how it comes in. ``fetch`` alone opens connections."""

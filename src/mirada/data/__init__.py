"""Images on disk → an ``Index`` → checks → decoded pixels in a memory map → augmented batches."""

"""Recipe → network → loop → run folder."""

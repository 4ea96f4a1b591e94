"""Where a network looks: one method a file, one table of them, any layer of any network."""

"""From the bytes of a file to the pixels of a network: one path for every format and every verb."""

"""Building blocks that two families of networks or more share."""

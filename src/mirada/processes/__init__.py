"""Several processes that train together: their shares of the work, their words, and how a lost one is noticed."""

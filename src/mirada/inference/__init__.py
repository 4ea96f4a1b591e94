"""A trained model in use: predict, explain, match data to it."""

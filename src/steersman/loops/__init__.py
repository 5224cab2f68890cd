"""The order of things, against ports only."""

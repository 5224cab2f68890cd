"""Pages in a real browser. A package, so that its services end when the last of its tests has."""

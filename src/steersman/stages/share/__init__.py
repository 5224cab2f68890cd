"""Share: what agents tell each other, as rows of one pool or another."""

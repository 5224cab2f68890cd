"""How a suite is run after a change: which tests, in which order, and what is remembered of them."""

"""Evaluate: what the log says of a policy that has not decided yet: better, worse, or cannot tell."""

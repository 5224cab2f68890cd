"""From a state to a distribution over the allowed actions."""

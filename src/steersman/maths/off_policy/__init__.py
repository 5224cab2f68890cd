"""Off-policy evaluation: what a policy would have earned, from outcomes of decisions that another one made."""

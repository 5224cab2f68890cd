"""Backtests: what the agents would have done in the past, told by nothing that came later, beside plainer ways."""

"""The agents of the trading pack."""

"""Paper trading: a series of the past replayed as live events over a bus, with signals and broker of the backtest."""

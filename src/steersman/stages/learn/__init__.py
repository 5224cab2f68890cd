"""Learn: the working table as a fold over the log."""

"""Monitor: what the windows of learning say, in plain words."""

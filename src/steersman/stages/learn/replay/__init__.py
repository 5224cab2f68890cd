"""Experience replay: what was seen before is learned from again."""

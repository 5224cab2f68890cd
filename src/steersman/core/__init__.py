"""The nouns and the ports. Imports nothing of ours."""

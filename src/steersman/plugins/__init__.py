"""Guests in other programs: each keeps its host's manners, and costs nothing until it is asked in."""

"""What a store says of itself, so that it is known before it is used."""

APPLICATION_ID = 0x53746565  # "Stee", in the header of an SQLite file
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""The migrations, oldest first. A store is of the last one, or is brought there, or was written by a newer version."""

"""The log in an SQLite file: one owner, one writer, any number of readers."""

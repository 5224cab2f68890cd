"""The project under test: found, copied, its suite run and measured."""

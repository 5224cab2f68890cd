"""Faults with known truth: seeded ones, and what real commits brought."""

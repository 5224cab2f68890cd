"""Public checks for authors of packs and backends, and worlds with known answers."""

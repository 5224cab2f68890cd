"""Offline data sets in files (extra `parquet`): one table, or the folders that Minari reads."""

from steersman.backends.datasets.minari import read_minari, write_minari
from steersman.backends.datasets.table import read_table, write_table

__all__ = ["read_minari", "read_table", "write_minari", "write_table"]

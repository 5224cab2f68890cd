"""Exported logs as Parquet (extra `parquet`): the columns that queries ask for, and each row whole as JSON."""

from steersman.backends.parquet.lines import read_lines, write_lines

__all__ = ["read_lines", "write_lines"]

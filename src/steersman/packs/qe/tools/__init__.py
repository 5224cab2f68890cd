"""Tools that others made, each behind one function: from files to findings or figures."""

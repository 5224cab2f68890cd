"""Comparisons of learned policies with the usual rules, on a project of your own."""

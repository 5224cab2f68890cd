"""The verbs. A stage takes values and gives values: no I/O, no clock, no import of another stage."""

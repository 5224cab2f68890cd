"""Pure functions, arrays in and arrays out, each with its formula, shapes and source."""

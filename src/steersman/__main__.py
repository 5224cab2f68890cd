"""`python -m steersman`: the command line."""

from steersman.cli import main

main()

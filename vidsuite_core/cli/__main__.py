"""`python -m vidsuite_core.cli`: the command line without its console script."""

from vidsuite_core.cli import main

main()

"""``python -m lowroad.cli``: the command line where ``lowroad`` is not on the PATH."""

from lowroad.cli import main

main()

"""`python -m psiprune`, for environments whose scripts are not on the PATH."""

from psiprune.cli import run

run()

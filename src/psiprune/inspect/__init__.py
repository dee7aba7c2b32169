"""Describe any file or run folder of psiprune."""

"""Shared ground: exceptions, validation, settings, random streams, limits, threads, statistics."""

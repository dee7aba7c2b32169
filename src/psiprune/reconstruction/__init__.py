"""From a file of shots to the smallest model and a verdict."""

"""One file an experiment of the paper; each takes a configuration, returns a dataset."""

"""The experiments, one file each: settings in, a dataset out."""

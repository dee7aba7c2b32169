"""The claims of the paper, each judged by a rule fixed in code before any run."""

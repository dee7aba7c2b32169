"""log Z and the Fisher matrix of an RBM."""

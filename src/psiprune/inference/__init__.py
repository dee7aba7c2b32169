"""log Z, independent draws and Fisher matrices of an RBM."""

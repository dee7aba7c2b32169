"""The RBM: parameters, masks, clusters, Gibbs sampling, exact likelihood."""

"""The model: parameters, masks, clusters, Gibbs sampling, exact likelihood."""

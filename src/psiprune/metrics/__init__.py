"""What an RBM costs in physics, against a state or against shots."""

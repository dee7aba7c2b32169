"""Reference states: the Ising chain, matrix product states, DMRG."""

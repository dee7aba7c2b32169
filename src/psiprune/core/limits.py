"""Limits of exact methods and of sizes, each with its reason.

Code that meets a limit raises `InputError` and names what to use instead.
"""

from __future__ import annotations

#: Sites up to which averages, KL and fidelity are sums over all 2^N states. Time and memory: a
#: float64 vector over the states takes 8 MiB at 20 sites, and each metric passes over several.
EXACT_SITES = 20
#: Sites up to which a Hamiltonian is diagonalised. Time: seconds for 2^16 rows.
DIAGONALISED_SITES = 16
#: Terms of a Hamiltonian. Memory: some hundred bytes each.
PAULI_TERMS = 100_000
#: Sites up to which one table of log p~ over all states is returned. Memory: 128 MiB at 24 sites.
TABLE_SITES = 24
#: Units of the smaller layer up to which each gradient is a sum over all its states. Time: 2^18
#: states in each training step.
EXACT_GRADIENT_UNITS = 18
#: Units of the smaller layer up to which log Z is summed in each step of a training over the terms
#: of shots in several bases. Time: 2^20 states take 0.2 s, as long as 300,000 terms.
SUMMED_UNITS = 20
#: Sites up to which shots in several bases are fitted by sums over all states. Time: each step
#: rotates a vector of 2^16 amplitudes into each basis and back, about a second for 100 bases.
PHASE_SITES = 16
#: Terms of the amplitudes of all shots in bases that rotate few sites. Memory: 1 GiB, and a byte
#: for each site of the different states that they are of.
PHASE_TERMS = 1 << 26
#: Units of the smaller layer up to which draws are independent and exact. Memory: a table of
#: 256 MiB over its states at 25 units.
EXACT_DRAW_UNITS = 25
#: Units of the smaller layer up to which log Z is an exact sum. Time: about a minute at 30 units.
PARTITION_UNITS = 30
#: Units of the smaller layer up to which log Z is summed in the checks of a training. Time: 2^16
#: states take milliseconds, a few percent of the training.
CHECK_UNITS = 16
#: Units of the smaller layer up to which log Z is summed for every RBM compared with an ensemble.
#: Time: 2^20 states take a tenth of a second.
COMPARISON_UNITS = 20
#: Estimated seconds on one core up to which log Z is computed exactly: about a minute on two. The
#: estimate is the same on all machines, so that they choose the same method.
EXACT_SECONDS = 120.0
#: The same for log Z in a check of optimal brain surgery: a level needs a few, and some hundred
#: where the quadratic form fails.
CHECK_SECONDS = 0.1
#: Estimated seconds up to which variable elimination provides independent draws. Time: Gibbs chains
#: take about as long to give as many effective draws.
DRAW_SECONDS = 2.0
#: Estimated seconds up to which log p of records is computed exactly even where annealing is
#: quicker: annealing 10,000 records of 50 sites takes twice as long.
RECORDED_SECONDS = 5.0
#: Bytes of the tables of an exact log p of records. Memory: each thread has some of its own.
RECORDED_BYTES = 1 << 26
#: Units over which variable elimination may tabulate at once. Memory: 256 MiB for 2^25 numbers, and
#: three or four such tables exist at a time.
ELIMINATION_WIDTH = 25
#: Bytes of all tables of variable elimination together. Memory: 1 GiB fits beside the shots on a
#: laptop.
ELIMINATION_BYTES = 2**30
#: Parameters up to which a Fisher matrix is held. Memory: 6 GiB for 20,000 with its factor.
FISHER_PARAMETERS = 20_000
#: Parameters up to which `evaluate` propagates the errors of readout error rates, and of the
#: training shots, to an RBM. Time: for 3,000 about a minute on one core with readout errors, most
#: of it for a Fisher matrix and gradients over records.
RATES_ERROR_PARAMETERS = 3_000
#: Qubits of a group with correlated readout errors. Memory: a confusion matrix has 4^6 entries.
READOUT_GROUP_SITES = 6
#: Bits of all draws together. Memory: each takes a byte, and float64 arrays are made of them.
DRAWN_BITS = 1 << 30
#: Sites of a chain. Memory: a float64 matrix over pairs of sites takes 128 MiB at 4096.
CHAIN_SITES = 4096
#: Qubits of a file of shots. Memory: a shot takes as many bytes, and no device has more.
MOST_QUBITS = 100_000
#: Sites up to which a chain order is searched. Memory: a matrix over pairs takes 8 MiB at 1024.
ORDER_SITES = 1024
#: Weights of a new RBM. Memory: 1 GiB in float64.
RBM_WEIGHTS = 1 << 27
#: Entries of a mask. Memory: a byte each.
MOST_PAIRS = 100_000_000
#: Entries of a mask whose links are sorted. Memory: 2 GiB at 100 bytes each.
SORTED_PAIRS = 20_000_000
#: Random orders behind a p-value. Memory: they take gigabytes; its error is then 0.0005.
MOST_PERMUTATIONS = 1_000_000
#: RBMs of an ensemble. Time: each takes at least seconds, so a larger number is a typing error.
MOST_SEEDS = 10_000
#: Pruning steps of a path, rounds of rewiring. Time: as for the seeds.
MOST_LEVELS = 10_000
#: Points of a sweep, and RBMs of all of them. Memory: some kilobytes for each.
MOST_POINTS = 100_000
#: Bytes that a compressed array may unpack to. Memory: a small file can hold a large table.
MOST_UNPACKED = 1 << 30

"""Random streams by name: every random number of psiprune follows from a seed and a purpose.

A stream is one purpose. Its generator, its key for the compiled loops and the seeds derived from it
depend on the user's seed, the stream's number and further words (an epoch, a step), and on nothing
else, so no result depends on the order of calls or on the number of threads. The stream and the
words enter as NumPy's `spawn_key`, which keeps them apart from the seed: `default_rng([s, 5])`
equals `default_rng([s, 5, 0])`, but no two streams, words or seeds meet here.
"""

from __future__ import annotations

from enum import IntEnum, unique

import numpy as np

_WORD = 1 << 32


@unique
class Stream(IntEnum):
    """What random numbers are for. A number is never reused for another purpose."""

    # states, shots
    MPS_SAMPLING = 1
    LANCZOS_START = 2
    SITE_ORDER_HALVES = 3
    SYMMETRY_CHANCE = 4
    SHOTS_SPLIT = 5
    CUSTOM_OBSERVABLE_TRIAL = 6
    READOUT_SIMULATION = 7
    READOUT_RATES = 8
    DIAGONALISATION_START = 10
    QMC = 11
    BASIS_SAMPLING = 12
    RANDOM_BASES = 13
    LOCAL_UNITARIES = 14
    WORLDLINES = 15
    WORLDLINE_MIRRORS = 16
    # RBMs
    RANDOM_WEIGHTS = 20
    LOCAL_WEIGHTS = 21
    RANDOM_MASK = 22
    BROKEN_MASK = 23
    CONTROL_MASK = 24
    CLUSTER_NULL = 25
    SECOND_CLUSTER_NULL = 26
    CODED_WEIGHTS = 27
    POWER_LAW_MASK = 28
    PHASE_WEIGHTS = 29
    NEAREST_MASK = 30
    # sampling, log Z
    CHAIN_START = 40
    GIBBS = 41
    EXACT_DRAWS = 42
    PILOT_CHAINS = 43
    ELIMINATION_ORDER = 44
    ELIMINATION_DRAWS = 45
    AIS_BASE = 46
    AIS = 47
    REVERSE_AIS_START = 48
    FISHER_DRAWS = 49
    OBSERVED_DRAWS = 50
    RECORDED_ANNEALING = 51
    RECORDED_TEMPERING = 52
    # training
    SHUFFLE = 60
    NEGATIVE_PHASE = 61
    PERSISTENT_CHAINS = 62
    NATURAL_START = 63
    NATURAL_STEP = 64
    FISHER_SUBSET = 65
    MIXING_CHECK = 66
    LIKELIHOOD_CHECK = 67
    TRUE_BITS = 68
    RECORDS_FISHER = 69
    FOLDS = 70
    # pruning
    RANDOM_PRUNING = 80
    PRUNING_STEP = 81
    FINE_TUNING = 82
    SURGEON_MATRIX = 83
    SURGEON_CHECK = 84
    REWIRING = 85
    MISSING_WEIGHTS = 86
    ENSEMBLE_RESAMPLE = 87
    REPLICA_START = 88
    REPLICA_DRAWS = 89
    REPLICA_LOSS_START = 90
    REPLICA_LOSS = 91
    REPLICA_RECORDS = 92
    REPLICA_LOSS_RECORDS = 93
    RATES_SENSITIVITY = 94
    RATES_RESPONSE = 95
    MASK_SPLIT = 96
    # metrics
    LEVEL_METRICS = 100
    REFERENCE_START = 101
    REFERENCE_KL = 102
    SHOTS_START = 103
    SHOTS_DRAWS = 104
    SHOTS_RECORDS = 113
    CALIBRATION = 114
    AGREEMENT_RECORDS = 115
    RATES_ERROR = 116
    TRAINING_ERROR = 117
    BOOTSTRAP = 105
    BOOTSTRAP_CHAINS = 106
    AGREEMENT_START = 107
    AGREEMENT_DRAWS = 108
    LIKELIHOOD_RATIO_START = 109
    LIKELIHOOD_RATIO_DRAWS = 110
    CLAIM_PERMUTATIONS = 111
    ESTIMATOR_ORDER = 112
    REFERENCE_OBSERVABLES = 118
    READOUT_START = 120
    READOUT_DRAWS = 121
    READOUT_ANNEALING = 122
    SWAP_START = 130
    SWAP_DRAWS = 131
    # states with phases
    PHASE_RESAMPLING = 170
    PHASE_SCORES = 171
    PHASE_FISHER = 172
    PHASE_CHAINS = 150
    PHASE_STEP = 151
    PHASE_LOG_Z = 152
    PHASE_FIDELITY = 153
    PHASE_BASIS_DRAWS = 154
    PHASE_EXPECTED = 155
    PHASE_DRAWS = 140
    PHASE_START = 141
    PHASE_HELD_OUT = 142
    PHASE_REPLICA = 147
    PHASE_CHAIN_START = 156
    PHASE_AGREEMENT = 157
    PHASE_SHOTS = 158
    PHASE_REPORT = 159
    PHASE_REPLICA_RECORDS = 160
    PHASE_RATES = 161
    PHASE_CALIBRATION = 162
    PHASE_SMOOTHING = 163
    PHASE_READOUT_CHANGE = 164
    PHASE_RETRAINING = 165


def generator_for(seed: int, stream: Stream, *words: int) -> np.random.Generator:
    """Return the generator of a stream. Words are integers from 0 to 2^64 - 1."""
    return np.random.default_rng(_sequence(seed, stream, words))


def stream_key(seed: int, stream: Stream, *words: int) -> np.uint64:
    """Return the 64-bit key of a stream for the counter-based generator in `kernels.simd`."""
    return np.uint64(_sequence(seed, stream, words).generate_state(1, np.uint64)[0])


def derive_seed(seed: int, stream: Stream, *words: int) -> int:
    """Return a seed from 0 to 2^63 - 1 for a function that takes one, such as `sample`.

    With the user's seed itself, the reference draws of a KL would be the very shots that the RBM
    was trained on.
    """
    return int(stream_key(seed, stream, *words) >> np.uint64(1))


def _sequence(seed: int, stream: Stream, words: tuple[int, ...]) -> np.random.SeedSequence:
    # Two 32-bit words each, so that a long word is not two short ones.
    halves = (half for word in words for half in (word % _WORD, word // _WORD))
    return np.random.SeedSequence(seed, spawn_key=(int(stream), *halves))

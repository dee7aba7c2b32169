# %% [markdown]
# # A first reconstruction
#
# From measured bit strings to a small model of the state, and to the answer whether to trust it.
# The shots ship with the package: 10,000 of a chain of 10 spins at its critical point. Replace the
# file by one of yours; [all formats](../formats.md) are recognised by their content.

# %%
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import psiprune as pp

plt.style.use("psiprune.psiprune")

SEEDS = 5
Path("shots.txt").write_bytes(files("psiprune").joinpath("data/example.txt").read_bytes())
shots = pp.read_shots("shots.txt")
shots

# %% [markdown]
# ## Look at the data first
#
# `describe` finds dead or stuck qubits, drift, repeated shots and a permuted register. Here it has
# nothing to report:

# %%
warnings = pp.describe(shots).warnings
print(*warnings or ["nothing to report"], sep="\n")

# %% [markdown]
# In the critical state spins are correlated over the whole chain, most with their neighbours:

# %%
z = 1 - 2 * shots.bits.astype(float)
figure, ax = plt.subplots()
image = ax.imshow(np.cov(z.T), vmin=0)
ax.set(xlabel="site", ylabel="site")
figure.colorbar(image, label=r"$\langle Z_i Z_j\rangle - \langle Z_i\rangle\langle Z_j\rangle$")
plt.show()

# %% [markdown]
# ## Reconstruct
#
# One call chooses the number of hidden units, trains, prunes to the fewest weights that the shots
# support, and tests the result on shots that were used for nothing else. The first line is the
# answer, then come the loss with its bound, what the shots cannot show, and every check.

# %%
result = pp.reconstruct(shots, seed=0, seeds=SEEDS)
result

# %% [markdown]
# The answer in one figure: expectation values of model and test shots, the loss as weights go, and
# the model that is left.

# %%
result.plot()

# %% [markdown]
# Every RBM of the search, with its loss in nats per shot and whether that was accepted:

# %%
result.levels

# %% [markdown]
# ## Use the model
#
# It is normalised, so it gives probabilities, and it draws shots:

# %%
rbm = result.rbm
aligned = np.array([[0] * 10, [1] * 10, [0, 1] * 5])
print("p(v) of 00..0, 11..1, 0101..:", np.exp(rbm.log_prob(aligned)).round(5))
print("shots of the model:", *("".join(map(str, bits)) for bits in rbm.sample(3, seed=0)))
rbm

# %% [markdown]
# ## Was the verdict right?
#
# With data of a device nobody knows. Here the state is known: the ground state of the Ising chain
# at h = J. Fidelity and KL divergence are sums over all 2^10 states; `floor` is what a perfect
# model fitted to as many shots would show.

# %%
pp.evaluate(rbm, pp.ground_state(pp.TFIM(sites=10, field=1.0)))

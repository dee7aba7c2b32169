# %% [markdown]
# # From device shots with readout errors
#
# A device misreads a few percent of the bits. Ignoring that, one reconstructs the state as the
# detector shows it. Here we calibrate the errors, train through them, and compare with the truth,
# which in this notebook is known. [The page about readout errors](../howto/readout.md) has the
# same as commands, and when not to trust it.

# %%
import matplotlib.pyplot as plt
import numpy as np

import psiprune as pp

plt.style.use("psiprune.psiprune")

SITES = 8
SHOTS = 20_000
SEEDS = 5

# %% [markdown]
# ## The device
#
# It prepares the critical Ising chain and reads each site with errors of its own, more often 0 for
# 1 than 1 for 0, as decay during the readout makes it.

# %%
state = pp.ground_state(pp.TFIM(sites=SITES, field=1.0))
device = pp.ReadoutError.from_rates(
    np.linspace(0.01, 0.03, SITES), np.linspace(0.06, 0.03, SITES), sites=SITES
)
records = device.misread(pp.sample(state, SHOTS, seed=1).bits, seed=2)

# %% [markdown]
# ## Calibrate
#
# Prepare all sites in 0, then all in 1, and record some thousand shots of each:

# %%
zeros = device.misread(np.zeros((4000, SITES), np.uint8), seed=3)
ones = device.misread(np.ones((4000, SITES), np.uint8), seed=4)
readout = pp.calibrate_readout({"0" * SITES: zeros, "1" * SITES: ones})
for name, column in (("p(1|0)", 0), ("p(0|1)", 1)):
    print(f"{name} measured", readout.rates[:, column].round(3))
    print(f"{name} true    ", device.rates[:, column].round(3))

# %% [markdown]
# ## Train with and without them
#
# The shots carry the calibration; training then maximises the likelihood of the records under
# p(y) = sum over v of C(y|v) p(v), and the RBM is that of the true bits.

# %%
shots = pp.Shots(records, readout=readout)
ignored = pp.train(records, seed=0)
modelled = pp.train(shots, seed=0)
clean = pp.train(pp.sample(state, SHOTS, seed=1), seed=0)
for name, rbm in (("ignored", ignored), ("modelled", modelled), ("no errors", clean)):
    report = pp.evaluate(rbm, state)
    print(f"{name:10s} fidelity {report.fidelity.value:.4f}, KL {report.kl.value:.4f}")

# %% [markdown]
# ## What flips do to correlations
#
# They shrink them. `evaluate_on_shots` compares on test shots: the records with what the device
# would record of the RBM, and (`state_...`) the true bits of the RBM with an estimate from the
# records alone, by inverted confusion matrices.

# %%
test = pp.Shots(device.misread(pp.sample(state, SHOTS, seed=5).bits, seed=6), readout=readout)
report = pp.evaluate_on_shots(modelled, test)
report

# %%
recorded, true = report.correlation, report.state["correlation"]
distance = np.arange(len(recorded.value))
figure, ax = plt.subplots()
ax.plot(distance, state.correlation_from_midpoint(), "k-", label="exact")
ax.errorbar(
    distance, true.shots_value, true.shots_error, fmt="s", mfc="w", label="records, inverted"
)
error = np.hypot(true.error, true.training_error)
ax.errorbar(distance, true.value, error, fmt="o", label="RBM, errors modelled")
ax.errorbar(
    distance, recorded.shots_value, recorded.shots_error, fmt="x", label="records as they are"
)
ax.set(xlabel="distance d from the middle", ylabel="C(d)")
ax.legend()
plt.show()

# %% [markdown]
# ## Reconstruct
#
# `reconstruct` takes the same shots. The line *assumed* says how much the answer depends on the
# calibration.

# %%
result = pp.reconstruct(shots, seed=0, seeds=SEEDS)
result

# %%
result.plot()

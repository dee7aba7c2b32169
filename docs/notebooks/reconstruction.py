# %% [markdown]
# # From shots to a pruned model
#
# Shots of a state whose truth is known, an RBM of maximum likelihood, and its pruning path: what
# each removed weight costs in KL divergence and in the order parameter, beside what a perfect model
# of as many parameters would show. This file is a notebook in percent format: open it with
# jupytext, or run it with Python.

# %%
import numpy as np
from matplotlib.figure import Figure

import psiprune as pp

SITES = 10
SHOTS = 20_000
LEVELS = 14

# %% [markdown]
# ## Shots
#
# The transverse-field Ising chain at its critical point. `ground_state` compares the energy of DMRG
# with that of free fermions, and refuses a state that is off.

# %%
model = pp.TFIM(sites=SITES, field=1.0)
state = pp.ground_state(model)
shots = pp.sample(state, shots=SHOTS, seed=1)
print(f"E = {state.energy:.8f}, exact {model.ground_energy():.8f}")
print(f"{len(shots)} shots, {len(np.unique(shots.bits, axis=0))} different ones")

# %% [markdown]
# ## The dense RBM
#
# With error and floor: a perfect model fitted to so many shots would have that KL.

# %%
rbm = pp.train(shots, hidden=SITES // 2, seed=0, method="exact")
for name, measure in pp.evaluate(rbm, state):
    print(f"{name:24s} {measure.value:10.5f} +/- {measure.error:.5f}, floor {measure.floor:.5f}")

# %% [markdown]
# Each hidden unit holds a few neighbouring sites, as in the paper:

# %%
pp.plot_clusters(rbm, pp.find_clusters(rbm, width=3, threshold=0.1))

# %% [markdown]
# ## Pruning
#
# Two criteria on the same RBM, each fine-tuned by exact steps: the paper's magnitude, and optimal
# brain surgery.

# %%
paths = {}
for criterion in ("magnitude", "surgeon"):
    levels = pp.prune(rbm, shots, criterion=criterion, levels=LEVELS, fine_tune="exact", seed=0)
    paths[criterion] = [(level.rbm, pp.evaluate(level.rbm, state)) for level in levels]
    half = min(paths[criterion], key=lambda pair: abs(pair[0].density - 0.5))
    print(f"{criterion}: {half[0].number_of_weights} weights, KL {half[1].kl.value:.4f}")

# %%
figure = Figure(figsize=(8, 3.2), layout="constrained")
kl, order = figure.subplots(1, 2)
for criterion, path in paths.items():
    weights = [level.number_of_weights for level, _ in path]
    kl.plot(weights, [report.kl.value for _, report in path], "o-", label=criterion)
    bias = [report.exact.abs_magnetization_bias for _, report in path]
    order.plot(weights, bias, "o-", label=criterion)
floor = [report.kl.floor for _, report in path]
kl.plot(weights, floor, "k--", label="floor")
kl.set(ylabel="KL (nat)", yscale="log")
order.set(ylabel="|bias| of ⟨|m|⟩", yscale="log")
for ax in (kl, order):
    ax.set(xlabel="weights left")
    ax.invert_xaxis()
kl.legend()
figure

# %% [markdown]
# ## The smallest model
#
# That keeps the KL within twice that of the dense RBM, searched one weight at a time.

# %%
limit = 2 * paths["surgeon"][0][1].kl.value
found = pp.find_smallest(
    rbm,
    shots,
    measure=lambda candidate: pp.evaluate(candidate, state, draws=1000).kl.value,
    limit=limit,
    settings=pp.PruneSettings(criterion="surgeon", levels=LEVELS),
    fine_tune=pp.ExactNaturalGradient.for_fine_tuning(),
)
print(f"{found.rbm.number_of_weights} of {rbm.number_of_weights} weights: KL {found.value:.4f}")
found.rbm.save("smallest.nc")

# %% [markdown]
# # How small can it be?
#
# Take shots of a known state, train an RBM by maximum likelihood, and prune it: what each removed
# weight costs in KL divergence and in the order parameter, compared with a perfect model of as many
# parameters, and the fewest weights within a limit.

# %%
import matplotlib.pyplot as plt
import numpy as np

import psiprune as pp

plt.style.use("psiprune.psiprune")

SITES = 10
SHOTS = 20_000
LEVELS = 14

# %% [markdown]
# ## Shots
#
# The transverse-field Ising chain at its critical point. `ground_state` compares the DMRG energy
# with that of free fermions, and fails if they differ.

# %%
model = pp.TFIM(sites=SITES, field=1.0)
state = pp.ground_state(model)
shots = pp.sample(state, shots=SHOTS, seed=1)
print(f"E = {state.energy:.8f}, exact {model.ground_energy():.8f}")
print(f"{len(shots)} shots, {len(np.unique(shots.bits, axis=0))} distinct configurations")

# %% [markdown]
# ## The dense RBM
#
# Each metric with its error and its floor, the value of a perfect model fitted to as many shots.

# %%
rbm = pp.train(shots, hidden=SITES // 2, seed=0, method="exact")
pp.evaluate(rbm, state)

# %% [markdown]
# Each hidden unit is connected to a few neighbouring sites, as in the paper:

# %%
pp.plot_clusters(rbm, pp.find_clusters(rbm, width=3, threshold=0.1))

# %% [markdown]
# ## Pruning
#
# Two criteria on the same RBM, with fine-tuning after each step: the paper's magnitude, and optimal
# brain surgery.

# %%
paths = {}
for criterion in ("magnitude", "surgeon"):
    levels = pp.prune(rbm, shots, criterion=criterion, levels=LEVELS, fine_tune="exact", seed=0)
    paths[criterion] = [(level.rbm, pp.evaluate(level.rbm, state)) for level in levels]
    half = min(paths[criterion], key=lambda pair: abs(pair[0].density - 0.5))
    print(f"{criterion}: {half[0].number_of_weights} weights, KL {half[1].kl.value:.4f}")

# %%
figure, (kl, order) = plt.subplots(1, 2, figsize=(7, 2.6))
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
plt.show()

# %% [markdown]
# ## The smallest model
#
# The fewest weights that keep the KL within twice that of the dense RBM, by bisection.

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
found

# %% [markdown]
# `found.rbm.save("smallest.nc")` keeps it. With measured shots alone, where no state is known,
# `pp.reconstruct` does the same with held-out shots.

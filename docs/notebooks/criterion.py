# %% [markdown]
# # Testing a pruning criterion on a problem with known truth
#
# Pruning criteria are usually compared by accuracy on images, where nobody knows what the best
# answer is. Here the truth is a quantum state: KL to it is a sum over all states, without noise. A
# criterion of our own is put beside those of psiprune and beside chance, over several seeds, with a
# signed-rank test. Run this file with Python, or open it with jupytext.

# %%
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import wilcoxon

import psiprune as pp
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask

SITES = 10
SHOTS = 20_000
SEEDS = 10
DENSITIES = (0.9, 0.8, 0.7, 0.6, 0.5)
STATES = (np.arange(2**SITES)[:, None] >> np.arange(SITES)) & 1  # [state, site]

# %% [markdown]
# ## The criterion
#
# A criterion is a function RBM -> saliency [hidden, visible]. `damage` is what removing one weight
# costs in KL to second order, all else as it is, and `surgeon` the same with all else corrected.
# Ours lies between: with the biases of the weight's own two units corrected. It needs the variance
# of s_j v_i that s_j and v_i alone do not explain, with s_j = p(h_j = 1 | v): three numbers for
# each weight instead of a matrix of all parameters.


# %%
def local(rbm: pp.RBM) -> np.ndarray:
    """W_ji^2 / (2 [C^-1]_00), C = Cov(s_j v_i, v_i, s_j) over all states."""
    p, s = np.exp(rbm.log_prob(STATES)), rbm.hidden_given_visible(STATES)
    saliency = np.zeros(rbm.weights.shape)
    for j, i in np.argwhere(rbm.mask):
        v = STATES[:, i]
        inverse = np.linalg.pinv(np.cov([s[:, j] * v, v, s[:, j]], aweights=p, ddof=0))
        saliency[j, i] = rbm.weights[j, i] ** 2 / (2 * inverse[0, 0])
    return saliency


# %% [markdown]
# ## Before fine-tuning
#
# All criteria cut the same dense RBMs to the same number of weights in one step, and nothing is
# trained afterwards: the cost is the criterion's alone. Half of each removed weight goes to both
# biases (`compensate`), but for the surgeon, who corrects by himself.

# %%
state = pp.ground_state(pp.TFIM(sites=SITES, field=1.0))
shots = pp.sample(state, shots=SHOTS, seed=0)
dense = [pp.train(shots, hidden=SITES // 2, seed=seed, method="exact") for seed in range(SEEDS)]


def kl_of(rbm: pp.RBM) -> float:
    """KL to the exact state, by the sum over all states."""
    log_q = state.log_prob(STATES)
    return float(np.exp(log_q) @ (log_q - rbm.log_prob(STATES)))


def cut(rbm: pp.RBM, criterion: str, density: float, seed: int) -> pp.RBM:
    """The RBM at a density, in one step without training."""
    if criterion == "local":
        count = round(density * rbm.number_of_weights)
        return absorb_into_biases(rbm, top_k_mask(rbm.mask, local(rbm), count))
    return pp.prune(
        rbm,
        shots,
        criterion=criterion,
        density=density,
        fraction=1 - density,
        levels=1,
        compensate=criterion != "surgeon",
        fine_tune=None,
        seed=seed,
    )[-1].rbm


criteria = ("local", "magnitude", "damage", "surgeon", "random")
kl = np.array(
    [
        [[kl_of(cut(rbm, name, d, seed)) for seed, rbm in enumerate(dense)] for d in DENSITIES]
        for name in criteria
    ]
)  # [criterion, density, seed]
print("dense: KL", f"{np.median([kl_of(rbm) for rbm in dense]):.4f}, median of {SEEDS} seeds")
for name, table in zip(criteria, np.median(kl, axis=2), strict=True):
    print(f"{name:10s}", *(f"{value:8.4f}" for value in table))

# %%
figure = Figure(figsize=(5, 3.4), layout="constrained")
ax = figure.subplots()
for name, table in zip(criteria, kl, strict=True):
    low, middle, high = np.quantile(table, (0.16, 0.5, 0.84), axis=1)
    ax.fill_between(DENSITIES, low, high, alpha=0.2)
    ax.plot(DENSITIES, middle, "o-", label=name)
ax.set(xlabel="density", ylabel="KL (nat), not fine-tuned", yscale="log")
ax.invert_xaxis()
ax.legend()
figure

# %% [markdown]
# ## Is it better?
#
# Pairs of one seed, Wilcoxon's signed ranks. With n pairs the least p that can be had is 2 / 2^n,
# so that five seeds decide nothing. A difference should also matter: the ratio of medians stands
# beside it.

# %%
half = DENSITIES.index(0.5)
for name in criteria[1:]:
    other = criteria.index(name)
    p_value = wilcoxon(kl[0, half], kl[other, half]).pvalue
    ratio = np.median(kl[other, half]) / np.median(kl[0, half])
    print(f"{name}: {ratio:.2f} times the KL of local at density 0.5, p = {p_value:.2g}")

# %% [markdown]
# ## What went wrong
#
# The idea sounded better than `damage`, and is far worse: from a density of 0.8 on it takes away
# weights that the state cannot do without. Look at the largest weight that each criterion removed:

# %%
for name in criteria:
    removed = np.where(cut(dense[0], name, 0.8, 0).mask, 0.0, dense[0].weights)
    rank = int((np.abs(dense[0].weights) > np.abs(removed).max()).sum()) + 1
    print(f"{name:10s} |W| = {np.abs(removed).max():.2f}, number {rank} by size")

# %% [markdown]
# The largest weight of this RBM switches its unit on whenever v_i = 1. Then s_j v_i is v_i itself,
# up to a variance of 3e-6, nothing is left to explain, and the quadratic form sees no cost. But it
# is one for small changes, and taking away a large weight is none. The surgeon would err alike; he
# measures the KL of each chunk, and goes in smaller steps where it is more than promised.
#
# ## After fine-tuning
#
# Training hides much of what criteria get wrong. The same cuts to half of the weights, each trained
# on by exact steps:

# %%
for name in criteria:
    tuned = [
        kl_of(
            pp.train(
                shots, start=cut(rbm, name, 0.5, seed), method=pp.ExactNaturalGradient(epochs=30)
            )
        )
        for seed, rbm in enumerate(dense)
    ]
    print(f"{name:10s} {np.median(tuned):.4f} ({min(tuned):.4f} to {max(tuned):.4f})")

"""Local energies of an RBM for any sum of Pauli strings, in float64."""

from __future__ import annotations

import numpy as np

from psiprune.kernels.simd import compiled, exp64


@compiled
def log_factors(activation):  # type: ignore[no-untyped-def]
    """Return sum_j log(1 + exp(a_j)), with one logarithm for up to 512 factors."""
    linear, product = 0.0, 1.0
    for j in range(activation.shape[0]):
        linear += max(activation[j], 0.0)
        product *= 1.0 + exp64(-abs(activation[j]))
        if j % 512 == 511:  # before a product of factors up to 2 can overflow
            linear += np.log(product)
            product = 1.0
    return linear + np.log(product)


@compiled
def local_energies(  # type: ignore[no-untyped-def]
    v,
    columns,
    visible_bias,
    hidden_bias,
    flip_first,
    flip_site,
    term_first,
    term_weight,
    sign_first,
    sign_site,
    out,
):
    """Set out[shot] = sum_f H_f(v) psi(v with the sites of f flipped) / psi(v), psi = sqrt(p).

    H_f(v) = sum_t w_t (-1)^(sum of v over the sites of t) over the terms t of the flip f. The
    activations of the hidden units are computed once for each shot, and changed for each flip.

    Args:
        v: uint8 [shot, site].
        columns: W transposed, [site, hidden].
        visible_bias, hidden_bias: b and c.
        flip_first, flip_site: the sites of flip f are flip_site[flip_first[f] : flip_first[f + 1]].
        term_first, term_weight: the same for the weights of its terms.
        sign_first, sign_site: the same for the sites of each term.
        out: [shot].
    """
    shots, visible = v.shape
    hidden = columns.shape[1]
    before, after = np.empty(hidden), np.empty(hidden)
    for shot in range(shots):
        before[:] = hidden_bias
        for i in range(visible):
            if v[shot, i] == 1:
                for j in range(hidden):
                    before[j] += columns[i, j]
        reference = log_factors(before)
        total = 0.0
        for flip in range(flip_first.shape[0] - 1):
            element = 0.0
            for term in range(term_first[flip], term_first[flip + 1]):
                ones = 0
                for k in range(sign_first[term], sign_first[term + 1]):
                    ones += v[shot, sign_site[k]]
                element += term_weight[term] * (1.0 - 2.0 * (ones % 2))
            first, last = flip_first[flip], flip_first[flip + 1]
            if first == last:  # the diagonal
                total += element
            elif element != 0.0:
                after[:] = before
                change = 0.0
                for k in range(first, last):
                    site = flip_site[k]
                    step = 1.0 - 2.0 * v[shot, site]
                    change += step * visible_bias[site]
                    for j in range(hidden):
                        after[j] += step * columns[site, j]
                total += element * np.exp(0.5 * (change + log_factors(after) - reference))
        out[shot] = total

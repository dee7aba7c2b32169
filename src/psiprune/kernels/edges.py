"""Products with sparse weights over many configurations, a multiply-add for each weight."""

from __future__ import annotations

import numpy as np

from psiprune.kernels.simd import compiled


@compiled
def inputs(start, site, weight, bias, v, out):  # type: ignore[no-untyped-def]
    """Set out[j, k] = bias_j + sum_e weight_e v[site_e, k] over the edges e of unit j.

    Args:
        start: int64 [unit + 1], where the edges of each unit begin.
        site: int64 [edge].
        weight: float32 [edge].
        bias: float32 [unit].
        v: float32 [site, configuration].
        out: float32 [unit, configuration].
    """
    for j in range(len(bias)):
        row = out[j]
        row[:] = bias[j]
        for edge in range(start[j], start[j + 1]):
            w, x = weight[edge], v[site[edge]]
            for k in range(len(row)):
                row[k] += w * x[k]


@compiled
def products(start, site, s, v, out):  # type: ignore[no-untyped-def]
    """Set out[e] = sum_k s[j, k] v[site_e, k] for each edge e of each unit j, float32 [edge].

    Args:
        start: int64 [unit + 1], where the edges of each unit begin.
        site: int64 [edge].
        s: float32 [unit, configuration].
        v: float32 [site, configuration].
        out: float32 [edge].
    """
    for j in range(len(start) - 1):
        y = s[j]
        for edge in range(start[j], start[j + 1]):
            x, total = v[site[edge]], np.float32(0.0)
            for k in range(len(y)):
                total += y[k] * x[k]
            out[edge] = total

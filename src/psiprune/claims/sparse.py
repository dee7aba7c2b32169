"""RBMs that are sparse before training: the abstract, Section III B, Fig. 5 and the Discussion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from psiprune.claims.access import EXACT, PHASES, PM, QCP, Float64, phase
from psiprune.claims.compare import (
    ALPHA,
    COMPARABLE,
    FEW,
    TWO_SIDED,
    Contrast,
    band,
    contrast,
)
from psiprune.claims.finding import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    Number,
    Undecided,
    listed,
    number,
    verdict_of,
)

#: The paper's kinds of RBM, and those of them that are sparse before training.
_SPARSE = ("sp/ss", "sp/os", "sc")
_KINDS = ("dense", "pruned", *_SPARSE)
#: Sums over all states, as all measures of this dataset up to 20 sites.
_TITLES = {name.removesuffix("_exact"): title for name, title in EXACT.items()}
#: Training has done its work if KL has fallen by so much.
_TRAINED = 10.0
#: Close: within a quarter.
_CLOSE = 1.25
_MOST, _NEARLY_ALL = 0.8, 0.9


def _of(datasets: Datasets, ratio: float, least: int, kinds: Sequence[str]) -> xr.Dataset:
    """The dataset at one field, with the seeds of which all measures of these kinds are known."""
    here = phase(datasets, "sparse", ratio)
    missing = [kind for kind in kinds if kind not in here["variant"].values]
    if missing:
        raise Undecided(f"sparse has no {missing[0]}")
    own = here.sel(variant=list(kinds))
    known = np.ones(own.sizes["seed"], bool)
    for name in _TITLES:
        known &= np.isfinite(own[name].transpose("seed", "variant").values).all(axis=1)
    if known.sum() < least:
        raise Undecided(f"the rule needs at least {least} seeds, found {int(known.sum())}")
    return own.isel(seed=np.flatnonzero(known))


def _values(here: xr.Dataset, kind: str, name: str = "kl") -> Float64:
    return np.asarray(here[name].sel(variant=kind).values, np.float64)


def _name(kind: str) -> str:
    return kind.replace("/", "_")


def _median(here: xr.Dataset, kind: str, name: str = "kl") -> Number:
    value = float(np.median(_values(here, kind, name)))
    return number(value, f"median over seeds, {kind}", f"sparse/{name}")


def _against(label: str, one: str, other: str, found: Contrast, name: str) -> dict[str, Number]:
    how = f"{one} over {other}"
    return {
        f"{label}_ratio": number(found.ratio, f"median over seeds of {how}", f"sparse/{name}"),
        f"{label}_p": number(found.p, f"signed ranks, two-sided, {how}", f"sparse/{name}"),
    }


def _trainable(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, FEW, _KINDS)
        seeds = min(seeds, here.sizes["seed"])
        for kind in _SPARSE:
            start = here["history_kl"].sel(variant=kind).isel(epoch=0).values
            factor = start / _values(here, kind)
            share = float(np.mean(factor >= _TRAINED))
            tests.append(share >= _NEARLY_ALL)
            told.append(f"{kind} at the {name} {np.median(factor):.3g}")
            numbers[f"{name}_{_name(kind)}"] = number(
                float(np.median(factor)),
                f"median over seeds of KL before training over after it, {kind}, {name}",
                "sparse/history_kl",
                "sparse/kl",
            )
            numbers[f"{name}_{_name(kind)}_share"] = number(
                share, "share of seeds of at least 10", "sparse/history_kl", "sparse/kl"
            )
    measured = f"Training divides KL by ({seeds} seeds, medians): {listed(told)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _comparable(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, FEW, _KINDS)
        seeds = min(seeds, here.sizes["seed"])
        pruned = _median(here, "pruned")
        numbers[f"{name}_pruned"] = pruned
        shown = []
        for kind in _SPARSE:
            own = _median(here, kind)
            tests.append(own.value <= COMPARABLE * pruned.value)
            numbers[f"{name}_{_name(kind)}"] = own
            shown.append(f"{kind} {band(_values(here, kind))}")
        told.append(f"{name}: pruned {pruned.value:.2g}, {', '.join(shown)}")
    measured = f"KL, median (16 to 84 %) of {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _differences(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, orders, seeds = [], [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, TWO_SIDED, _KINDS)
        seeds = min(seeds, here.sizes["seed"])
        order = sorted(_SPARSE, key=lambda kind: float(np.median(_values(here, kind))))
        found = contrast(_values(here, order[-1]), _values(here, order[0]))
        tests.append(found.higher and found.ratio >= COMPARABLE)
        orders.append(order)
        told.append(f"{name}: {' < '.join(order)}, the last {found} times the first")
        numbers |= _against(name, order[-1], order[0], found, "kl")
    tests.append(orders[0] != orders[1])
    measured = f"By median KL of {seeds} seeds. {'; '.join(told)}."
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _faster(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, TWO_SIDED, ("dense", "sp/ss"))
        seeds = min(seeds, here.sizes["seed"])
        # Both reach twice the larger of their last values, so neither is fast by being bad.
        target = COMPARABLE * np.maximum(_values(here, "dense"), _values(here, "sp/ss"))
        epochs = {kind: _epochs_to(here, kind, target) for kind in ("sp/ss", "dense")}
        found = contrast(epochs["sp/ss"], epochs["dense"])
        tests.append(found.lower)
        told.append(
            f"{name}: {np.median(epochs['sp/ss']):g} epochs against {np.median(epochs['dense']):g}"
            f", ratio {found}"
        )
        numbers |= _against(name, "sp/ss", "dense", found, "history_kl")
        for kind, values in epochs.items():
            numbers[f"{name}_{_name(kind)}"] = number(
                float(np.median(values)),
                f"median over seeds of the epoch, {kind}",
                "sparse/history_kl",
                "sparse/kl",
            )
    measured = (
        f"Epoch at which KL first is at most twice the larger one of both at the end, {seeds} "
        f"seeds, sp/ss against dense. {'; '.join(told)}."
    )
    return Finding(verdict_of(tests), measured, numbers, seeds)


def _epochs_to(here: xr.Dataset, kind: str, target: Float64) -> Float64:
    """The first epoch with KL at most the target, [seed]; at least 1, so that ratios exist."""
    own = here["history_kl"].sel(variant=kind).transpose("seed", "epoch").dropna("epoch")
    epochs = own["epoch"].values.astype(float)
    reached = own.values <= target[:, None]
    # A history may end before training does: the end itself has been reached.
    return np.array([max(1.0, epochs[row.argmax() if row.any() else -1]) for row in reached])


def _extreme(ratio: float, kind: str, kinds: Sequence[str], sign: int, data: Datasets) -> Finding:
    """Whether one kind is the best (sign -1) or the worst (+1) of these."""
    here = _of(data, ratio, TWO_SIDED, _KINDS)
    others = [other for other in kinds if other != kind]
    numbers: dict[str, Number] = {}
    first = []
    for name in _TITLES:
        medians = {other: _median(here, other, name) for other in kinds}
        numbers |= {f"{name}_{_name(other)}": value for other, value in medians.items()}
        if all(sign * medians[kind].value > sign * medians[other].value for other in others):
            first.append(name)
    against = {other: contrast(_values(here, kind), _values(here, other)) for other in others}
    clear = [found.higher if sign > 0 else found.lower for found in against.values()]
    for other, found in against.items():
        numbers |= _against(f"to_{_name(other)}", kind, other, found, "kl")
    if "kl" in first and all(clear) and len(first) > len(_TITLES) // 2:
        verdict = HOLDS
    else:
        verdict = IN_PART if "kl" in first else FAILS
    ends = "highest" if sign > 0 else "lowest"
    ratios = listed([f"{found} of {other}" for other, found in against.items()])
    measured = (
        f"KL of {kind}: {band(_values(here, kind))}, {here.sizes['seed']} seeds; ratio {ratios}. "
        f"It has the {ends} median of {listed([_TITLES[name] for name in first])}."
    )
    return Finding(verdict, measured, numbers, here.sizes["seed"])


def _beats_dense(datasets: Datasets) -> Finding:
    here = _of(datasets, PM, TWO_SIDED, _KINDS)
    found = {
        name: contrast(_values(here, "sp/ss", name), _values(here, "dense", name))
        for name in _TITLES
    }
    better = [name for name in _TITLES if found[name].lower]
    kl = found["kl"]
    if kl.lower and not any(each.higher for each in found.values()):
        verdict = HOLDS
    else:
        verdict = IN_PART if better else FAILS
    wins = int((_values(here, "sp/ss") < _values(here, "dense")).sum())
    seeds = here.sizes["seed"]
    ratios = listed([f"{_TITLES[name]} {found[name]}" for name in _TITLES])
    measured = f"sp/ss over dense: {ratios}; lower KL in {wins} of {seeds} seeds."
    numbers: dict[str, Number] = {"wins": number(wins, "seeds with the lower KL", "sparse/kl")}
    for name, each in found.items():
        numbers |= _against(name, "sp/ss", "dense", each, name)
    return Finding(verdict, measured, numbers, seeds)


def _none_beats_pruned(datasets: Datasets) -> Finding:
    here = _of(datasets, QCP, TWO_SIDED, _KINDS)
    numbers: dict[str, Number] = {}
    told, beaten = [], {}
    for kind in _SPARSE:
        found = {
            name: contrast(_values(here, kind, name), _values(here, "pruned", name))
            for name in _TITLES
        }
        # KL alone decides; the twelve others are corrected for their number.
        beaten[kind] = (
            found["kl"].lower,
            [
                name
                for name, each in found.items()
                if name != "kl" and each.lower and each.p < ALPHA / 12
            ],
        )
        told.append(f"{kind} {found['kl']}")
        for name, each in found.items():
            numbers |= _against(f"{_name(kind)}_{name}", kind, "pruned", each, name)
    verdict = HOLDS
    if any(others for _, others in beaten.values()):
        verdict = IN_PART
    if any(kl for kl, _ in beaten.values()):
        verdict = FAILS
    better = [f"{kind} in {_TITLES[name]}" for kind in _SPARSE for name in beaten[kind][1]]
    measured = (
        f"KL over that of pruned, median of {here.sizes['seed']} seeds: {listed(told)}. "
        f"Better in another measure: {listed(better)}."
    )
    return Finding(verdict, measured, numbers, here.sizes["seed"])


def _close(datasets: Datasets) -> Finding:
    here = _of(datasets, QCP, FEW, _KINDS)
    found = {kind: contrast(_values(here, kind), _values(here, "pruned")) for kind in _SPARSE}
    ratio = found["sp/ss"].ratio
    away = {kind: abs(np.log(each.ratio)) for kind, each in found.items()}
    nearest = away["sp/ss"] <= min(away["sp/os"], away["sc"])
    verdict = FAILS
    if ratio <= COMPARABLE:
        verdict = HOLDS if ratio <= _CLOSE and nearest else IN_PART
    measured = (
        f"KL over that of pruned, median of {here.sizes['seed']} seeds: "
        f"{listed([f'{kind} {each}' for kind, each in found.items()])}."
    )
    numbers: dict[str, Number] = {}
    for kind, each in found.items():
        numbers |= _against(_name(kind), kind, "pruned", each, "kl")
    return Finding(verdict, measured, numbers, here.sizes["seed"])


def _carry_over(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    shares, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, FEW, _KINDS)
        own, pruned = _values(here, "sp/os"), _median(here, "pruned")
        shares.append(float(np.mean(own <= COMPARABLE * pruned.value)))
        seeds = min(seeds, len(own))
        told.append(
            f"{name}: {np.count_nonzero(own <= COMPARABLE * pruned.value)} of {len(own)} seeds "
            f"(KL {band(own)}; pruned {pruned.value:.2g})"
        )
        numbers |= {
            f"{name}_share": number(
                shares[-1], "share of seeds of sp/os within twice the median of pruned", "sparse/kl"
            ),
            f"{name}_pruned": pruned,
            f"{name}_sp_os": _median(here, "sp/os"),
        }
    if min(shares) >= _MOST:
        verdict = HOLDS
    else:
        verdict = IN_PART if max(shares) >= _MOST or min(shares) >= 0.5 else FAILS
    measured = f"sp/os within twice the KL of pruned. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


def _start_matters(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    tests, told, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, FEW, _KINDS)
        own, seeds = _values(here, "sp/os"), min(seeds, here.sizes["seed"])
        best = float(own.min())
        off = float(np.mean(own > COMPARABLE * best))
        dense = _values(here, "dense")
        usual = float(np.mean(dense > COMPARABLE * dense.min()))
        tests.append(off >= 0.2 and off > usual)
        told.append(f"{name}: {off:.0%} (dense {usual:.0%}), from {best:.2g} to {own.max():.2g}")
        numbers |= {
            f"{name}_off": number(
                off, "share of seeds of sp/os with more than twice the lowest KL", "sparse/kl"
            ),
            f"{name}_dense": number(usual, "the same of dense", "sparse/kl"),
        }
    # "Can depend": one phase is enough.
    verdict = HOLDS if any(tests) else FAILS
    measured = (
        f"Share of {seeds} seeds of sp/os with more than twice the KL of the best. "
        f"{'; '.join(told)}."
    )
    return Finding(verdict, measured, numbers, seeds)


def _rules_poor(datasets: Datasets) -> Finding:
    numbers: dict[str, Number] = {}
    told, poor, seeds = [], [], datasets["sparse"].sizes["seed"]
    for name, ratio in PHASES.items():
        here = _of(datasets, ratio, FEW, _KINDS)
        own, pruned = _values(here, "sc"), _median(here, "pruned")
        off = own > COMPARABLE * pruned.value
        poor += list(off)
        seeds = min(seeds, len(own))
        told.append(
            f"{name}: {np.count_nonzero(off)} of {len(own)} (KL {band(own)}; pruned "
            f"{pruned.value:.2g})"
        )
        numbers |= {
            f"{name}_share": number(
                float(off.mean()),
                "share of seeds of sc above twice the median of pruned",
                "sparse/kl",
            ),
            f"{name}_sc": _median(here, "sc"),
            f"{name}_pruned": pruned,
        }
    share = float(np.mean(poor))
    verdict = HOLDS if share >= 0.5 else IN_PART if share >= 0.25 else FAILS
    measured = f"sc with more than twice the KL of pruned. {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


CLAIMS = (
    Claim(
        "sparse-trainable",
        "Abstract, III B",
        "RBMs that are sparse from the start can be trained.",
        "Training must divide KL by at least 10, in 90 % of the seeds. Holds if so for sp/ss, "
        "sp/os and sc in both phases; in part if for some.",
        ("sparse",),
        _trainable,
    ),
    Claim(
        "sparse-comparable",
        "III B, Fig. 5",
        "In every case a sparse RBM comes out comparable with one that was trained dense and "
        "pruned.",
        "The median KL over seeds must be at most twice that of pruned. Holds if so for sp/ss, "
        "sp/os and sc in both phases; in part if for some.",
        ("sparse",),
        _comparable,
    ),
    Claim(
        "sparse-differ-by-phase",
        "III B, Fig. 5",
        "The differences between sparse RBMs can be substantial, and depend on the phase.",
        "Three tests: in each phase KL of the worst of sp/ss, sp/os and sc (by median) is at least "
        "twice that of the best (median ratio, two-sided signed ranks p < 0.05), and their order "
        "is not the same in both. Holds if all are passed; in part if some.",
        ("sparse",),
        _differences,
    ),
    Claim(
        "ss-converges-faster",
        "III B, Fig. 5",
        "In both phases sp/ss converges to its least error faster than the dense RBM.",
        "The epoch at which KL first is at most twice the larger one of both RBMs of a seed at the "
        "end, so that neither is fast by being bad. It must be earlier for sp/ss by 10 % or more "
        "(median ratio, two-sided signed ranks p < 0.05). Holds if in both phases; in part if in "
        "one.",
        ("sparse",),
        _faster,
    ),
    Claim(
        "pm-ss-best",
        "III B, Fig. 5",
        "In the paramagnetic phase sp/ss attains the smallest errors.",
        "Of dense, pruned, sp/ss, sp/os and sc. Holds if it has the lowest median of KL and of at "
        "least three of the five exact measures, and its KL is lower than that of each other kind "
        "by 10 % or more (median ratio, two-sided signed ranks p < 0.05); in part if it has the "
        "lowest median KL.",
        ("sparse",),
        partial(_extreme, PM, "sp/ss", _KINDS, -1),
    ),
    Claim(
        "pm-ss-beats-dense",
        "III B, Fig. 5",
        "In the paramagnetic phase sp/ss is better than even the dense RBM.",
        "Holds if its KL is lower by 10 % or more (median ratio, two-sided signed ranks p < 0.05) "
        "and no other exact measure is higher by the same test; in part if some measure is lower.",
        ("sparse",),
        _beats_dense,
    ),
    Claim(
        "pm-os-worst",
        "III B, Fig. 5",
        "In the paramagnetic phase sp/os is the worst sparsity pattern.",
        "Of sp/ss, sp/os and sc. Holds if it has the highest median of KL and of at least three of "
        "the five exact measures, and its KL is higher than that of each other by 10 % or more "
        "(median ratio, two-sided signed ranks p < 0.05); in part if it has the highest median KL.",
        ("sparse",),
        partial(_extreme, PM, "sp/os", _SPARSE, 1),
    ),
    Claim(
        "qcp-none-beats-pruned",
        "III B, Fig. 5",
        "At the critical point no sparse RBM is better than the pruned one.",
        "Fails if the KL of sp/ss, sp/os or sc is lower than that of pruned by 10 % or more "
        "(median ratio, two-sided signed ranks p < 0.05); holds in part if another exact measure "
        "is (p < 0.05 / 12); else holds.",
        ("sparse",),
        _none_beats_pruned,
    ),
    Claim(
        "qcp-ss-close",
        "III B, Fig. 5",
        "At the critical point sp/ss comes close to the pruned RBM.",
        "Holds if its KL is at most 1.25 times that of pruned (median of the ratio over seeds), "
        "and no further from it than sp/os and sc; in part if at most twice.",
        ("sparse",),
        _close,
    ),
    Claim(
        "qcp-sc-worst",
        "III B, Fig. 5",
        "At the critical point sc is the worst sparsity pattern.",
        "Of sp/ss, sp/os and sc. Holds if it has the highest median of KL and of at least three of "
        "the five exact measures, and its KL is higher than that of each other by 10 % or more "
        "(median ratio, two-sided signed ranks p < 0.05); in part if it has the highest median KL.",
        ("sparse",),
        partial(_extreme, QCP, "sc", _SPARSE, 1),
    ),
    Claim(
        "masks-carry-over",
        "III B",
        "A mask found with one seed works reasonably well with others.",
        "KL of sp/os is at most twice the median of pruned. Holds if so in 80 % of the seeds in "
        "both phases; in part if in one phase, or in half of the seeds in both.",
        ("sparse",),
        _carry_over,
    ),
    Claim(
        "start-matters",
        "IV",
        "How good an RBM with a mask from pruning gets can depend strongly on its initial weights.",
        "Holds if in some phase at least 20 % of the seeds of sp/os have more than twice the KL of "
        "the best one, and more seeds than of dense; else it does not hold.",
        ("sparse",),
        _start_matters,
    ),
    Claim(
        "rules-often-poor",
        "IV",
        "Masks made by rules of spatial locality before training often give poor accuracy.",
        "Poor: KL of sc above twice the median of pruned. Holds if so in half of the RBMs of both "
        "phases together; in part if in a quarter.",
        ("sparse",),
        _rules_poor,
    ),
)

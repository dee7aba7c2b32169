"""Two choices behind training through readout errors: where it starts, and linear response.

Ising chains at h = J; 2 % of zeros and 4 % of ones are flipped.

Start. `cold` is training through the errors from initial weights, `warm` the same training from the
fit that ignores the errors: steps and F of each, and the steps of that fit. Method `exact` on 10^5
shots of 18 sites until it converges; method `natural` with 5,000 chains on 20,000 shots of 24 sites
for 150 steps each.

Linear response. How the state changes when the rates change by 10 %: `fits` are new fits to the
records, `response` the linear response, for the same --sets (8) sets of rates. 1 - F is the mean
over the sets, the change of <ZZ> the root mean square, on 20,000 shots.

Medians over --seeds (3) seeds. A few minutes on an idle core, most of them for 24 sites; --quick
takes one seed and leaves these out.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import numpy as np

import peers
import psiprune as pp
from psiprune.inference.response import Response, linear_response
from psiprune.metrics.reference import reference_of
from psiprune.reconstruction.rates import neighbours, refitted
from psiprune.training.method import Method

#: Sites, shots and method of the starts.
STARTS: tuple[tuple[int, int, Method], ...] = (
    (18, 100_000, pp.ExactNaturalGradient()),
    (24, 20_000, pp.NaturalGradient(chains=5000)),
)
RESPONSES = (6, 8, 10)


def main() -> None:
    args = peers.options(__doc__, seeds=3, sets=8)
    seeds = range(1 if args.quick else args.seeds)
    about = peers.header("Training through readout errors: start, response", f"seeds {seeds}")
    responses, starts = [], []
    for sites in RESPONSES:
        responses.append(response(sites, args.sets, seeds))
        peers.show(responses[-1:])
    for case in STARTS[:1] if args.quick else STARTS:
        starts.append(start(*case, seeds))
        peers.show(starts[-1:])
    peers.save(args.json, about, readout_starts=starts, readout_responses=responses)


def records_of(state: pp.MPS, shots: int, seed: int) -> pp.Shots:
    error = pp.ReadoutError.from_rates(0.02, 0.04, sites=state.sites)
    return pp.sample(state, shots, seed=seed + 1).with_readout_error(error, seed)


def start(sites: int, shots: int, method: Method, seeds: range) -> peers.Row:
    state = pp.ground_state(pp.TFIM(sites=sites, field=1.0))
    reference, found = reference_of(state), []
    for seed in seeds:
        records = records_of(state, shots, seed)
        cold, ignoring = (
            pp.train(
                data, hidden=sites // 2, method=method, seed=seed, initial="local", progress=False
            )
            for data in (records, replace(records, readout=None))
        )
        warm = pp.train(records, method=method, seed=seed, start=ignoring, progress=False)
        steps = [int(rbm.provenance["epochs_done"]) for rbm in (cold, ignoring, warm)]
        values = [pp.evaluate(rbm, reference, seed=seed).fidelity.value for rbm in (cold, warm)]
        found.append([*steps, *values])
    steps_cold, steps_ignoring, steps_warm, cold_f, warm_f = map(median, zip(*found, strict=True))
    return {
        "case": f"N = {sites}, {method.method}",
        "cold steps": f"{steps_cold:.0f}",
        "F": f"{cold_f:.4f}",
        "steps ignoring": f"{steps_ignoring:.0f}",
        "warm steps": f"{steps_warm:.0f}",
        "F ": f"{warm_f:.4f}",
    }


def response(sites: int, sets: int, seeds: range) -> peers.Row:
    state, found = pp.ground_state(pp.TFIM(sites=sites, field=1.0)), []
    for seed in seeds:
        records = records_of(state, 20_000, seed)
        rbm = pp.train(records, seed=seed, progress=False)
        assert records.readout is not None
        others = [records.readout.resampled(100 * seed + k) for k in range(sets)]
        both = (
            refitted(rbm, records, others, seed),
            linear_response(rbm, records, others, seed, neighbours),
        )
        found.append([value for each in both for value in summary(each)])
    fits, fits_zz, linear, linear_zz = map(median, zip(*found, strict=True))
    return {
        "case": f"N = {sites}",
        "1 - F, fits": fits,
        "response": linear,
        "<ZZ>, fits": fits_zz,
        "response ": linear_zz,
    }


def summary(found: Response) -> tuple[float, float]:
    """1 - F and the change of the mean <Z_i Z_{i+1}> over the sets."""
    return float(np.mean(found.infidelity)), float(np.sqrt(np.mean(np.square(found.means))))


if __name__ == "__main__":
    main()

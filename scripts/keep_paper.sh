#!/usr/bin/env bash
# Keep what docs/ shows of a finished run of `psiprune paper`: figures, claims, medians over seeds,
# measured times, configuration and provenance, and the datasets that docs/sparse.md is made from.
#
#     scripts/keep_paper.sh runs/paper
set -euo pipefail
run=$(realpath "$1")
cd "$(dirname "$0")/.."
[[ -e $run/claims.json ]] || { echo "$run: holds no finished run of psiprune paper" >&2; exit 2; }
kept=docs/paper
rm -rf "$kept"
mkdir -p "$kept/figures" "$kept/medians"
cp "$run"/{claims.json,claims.md,timing.json,config.toml,provenance.json} "$kept"
cp "$run"/figures/*.svg "$kept/figures"
cp "$run"/medians/*.nc "$kept/medians"
for stage in sparse ablation frontier; do
    mkdir "$kept/$stage"
    cp "$run/$stage"/{"$stage.nc",config.toml,provenance.json} "$kept/$stage"
done
du -sh "$kept"

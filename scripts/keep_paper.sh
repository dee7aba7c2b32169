#!/usr/bin/env bash
# Keep what docs/ shows of a finished run of `psiprune paper` with its defaults: figures, claims,
# medians over seeds, measured times, configuration and provenance, and the datasets that
# docs/sparse.md is made from.
#
#     scripts/keep_paper.sh runs/paper
set -euo pipefail
run=$(realpath "$1")
cd "$(dirname "$0")/.."
[[ -e $run/claims.json ]] || { echo "$run: holds no finished run of psiprune paper" >&2; exit 2; }
grep -q '^seeds = 10$' "$run/config.toml" || { echo "$run: is not the full run" >&2; exit 2; }
kept=docs/paper
draft=$(mktemp -d docs/.paper-XXXX) # beside it, so that it takes its place in one step
trap 'rm -rf "$draft"' EXIT
mkdir "$draft"/{figures,medians,derived}
cp "$run"/{claims.json,claims.md,timing.json,config.toml,provenance.json} "$draft"
cp "$run"/figures/*.svg "$draft/figures"
cp "$run"/medians/*.nc "$draft/medians"
cp "$run"/derived/{graph,symmetry}.nc "$draft/derived" # what has no seeds to take medians over
for stage in sparse ablation frontier; do
    mkdir "$draft/$stage"
    cp "$run/$stage"/{"$stage.nc",config.toml,provenance.json} "$draft/$stage"
done
echo "psiprune paper -o runs/paper" >"$draft/command.txt"
rm -rf "$kept"
chmod 755 "$draft"
mv "$draft" "$kept"
trap - EXIT
du -sh "$kept"

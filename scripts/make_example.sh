#!/bin/bash
# Write the file of shots that `psiprune example` gives: scripts/make_example.sh FILE [PSIPRUNE ...]
# 10,000 shots of the ground state of the open Ising chain of 10 sites at h = J, without blanks.
set -euo pipefail
out=$1
psiprune=("${@:2}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run() { "${psiprune[@]:-psiprune}" "$@"; }
run ground-state --sites 10 --field 1 -o "$folder/state.nc"
run sample "$folder/state.nc" --shots 10000 --seed 0 -o "$folder/shots.nc"
run export text "$folder/shots.nc" -o "$folder/shots.txt"
tr -d ' ' < "$folder/shots.txt" > "$out"

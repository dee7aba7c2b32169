#!/usr/bin/env bash
# Keep in docs/paper what docs/ shows of a finished run of `psiprune paper` with its defaults: its
# datasets without what nothing reads, the claims judged by these, figures, times, configuration and
# provenance. Prints what differs from the claims of the run.
#
#     scripts/keep_paper.sh runs/paper
set -euo pipefail
run=$(realpath "$1")
cd "$(dirname "$0")/.."
[[ -e $run/claims.json ]] || { echo "$run: holds no finished run of psiprune paper" >&2; exit 2; }
kept=docs/paper
draft=$(mktemp -d docs/.paper-XXXX) # beside it, so that it takes its place in one step
trap 'rm -rf "$draft"' EXIT
"${PYTHON:-python}" - "$run" "$draft" <<'EOF'
import sys
from pathlib import Path

from psiprune.paper.judging import keep_paper
from psiprune.paper.kept import read_settings
from psiprune.paper.settings import PaperSettings

run, draft = map(Path, sys.argv[1:])
if read_settings(run) != PaperSettings():
    sys.exit(f"{run}: is not the full run")
print(*keep_paper(run, draft), sep="\n")
EOF
mkdir "$draft/figures"
cp "$run"/figures/*.svg "$draft/figures"
echo "psiprune paper -o runs/paper" >"$draft/command.txt"
rm -rf "$kept"
chmod 755 "$draft"
mv "$draft" "$kept"
trap - EXIT
du -sh "$kept"

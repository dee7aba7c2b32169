#!/usr/bin/env bash
# Is the wheel all that somebody else needs? Builds it, looks into it, installs it into a new
# environment away from the checkout, where no compiler is used, runs a study and the example from it and lets mypy see its types.
#
#     scripts/check_wheel.sh PYTHON    (one that has `build`)
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONPATH
root=$PWD python=$(realpath --no-symlinks "${1:-.venv/bin/python}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --outdir "$work/dist" . >"$work/build.log" || { cat "$work/build.log"; exit 1; }
wheel=$(ls "$work"/dist/*.whl)
"$python" - "$wheel" <(git ls-files src/psiprune) <<'PYTHON'
import sys, zipfile
from pathlib import Path

found = {name for name in zipfile.ZipFile(sys.argv[1]).namelist() if ".dist-info/" not in name}
tracked = {name.removeprefix("src/") for name in Path(sys.argv[2]).read_text().split()}
assert "psiprune/py.typed" in tracked
for what, names in (("lacks", tracked - found), ("should not hold", found - tracked)):
    if names:
        sys.exit(f"the wheel {what} {', '.join(sorted(names))}")
print(f"{Path(sys.argv[1]).name}: the {len(found)} files of src/psiprune and nothing else")
PYTHON

"$python" -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt "$wheel" mypy
cd "$work"
bin=$work/env/bin

"$bin/psiprune" --version | grep -v '^git not a checkout$' >version.txt
head -1 version.txt
if grep '^git' version.txt; then echo "an installed wheel is no checkout"; exit 1; fi
"$bin/psiprune" study --sites 6 --shots 300 --train.epochs 5 --fine-tune.epochs 2 \
    --prune.levels 2 --measure.draws 200 --out run >study.txt
tail -1 study.txt
"$bin/psiprune" example shots.txt >/dev/null
# No pipe to head: psiprune fails where nobody reads on.
"$bin/psiprune" reconstruct shots.txt --out result 2>/dev/null >verdict.txt
head -1 verdict.txt
grep -q '^Trusted' verdict.txt
"$bin/python" -c "
import psiprune
from psiprune.io.netcdf import read_dataset
assert not psiprune.__file__.startswith('$root'), psiprune.__file__
assert dict(read_dataset('run/study.nc', 'study').sizes)['level'] == 3
"

cat >good.py <<'PYTHON'
import numpy as np
import psiprune as pp

rbm: pp.RBM = pp.train(np.eye(4, dtype=np.uint8), hidden=2, method=pp.CD(epochs=1))
levels: list[pp.Level] = pp.prune(rbm, np.eye(4, dtype=np.uint8), levels=1, fine_tune=None)
reveal_type(pp.train)
PYTHON
cat >bad.py <<'PYTHON'
import psiprune as pp

wrong: int = pp.train([[0, 1]], hidden="two")
PYTHON
"$bin/mypy" --strict good.py | tee types.txt
grep -q 'Revealed type is .*psiprune.rbm.model.RBM"' types.txt
if "$bin/mypy" --strict bad.py >types.txt; then echo "mypy saw no types"; exit 1; fi
grep -q 'Argument "hidden" .* expected "int | None"' types.txt
grep -q 'expression has type "RBM", variable has type "int"' types.txt
mkdir -p "$root/dist" && cp "$wheel" "$root/dist/"
echo "the wheel is complete, runs, and is typed"
echo "next: pip install dist/$(basename "$wheel")"

#!/usr/bin/env bash
# The tests under every Python that pyproject.toml names, as far as this machine has them.
#
#     scripts/test_pythons.sh [arguments of pytest]
#
# Looks for python3.X on the path and among the versions of pyenv. Environments stay in .venv-py3.X.
set -uo pipefail
cd "$(dirname "$0")/.."
unset PYTHONPATH

interpreter() { # of version $1, empty if there is none
    local each
    for each in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/python; do
        if "$each" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null
        then echo "$each"; return; fi
    done
}

summary=() status=0
for version in $(grep -oP 'Python :: \K3\.\d+' pyproject.toml); do
    python=$(interpreter "$version")
    if [[ -z $python ]]; then
        summary+=("$version: no interpreter on this machine, not tested")
        continue
    fi
    env=.venv-py$version
    if [[ ! -e $env/ready || pyproject.toml -nt $env/ready || constraints.txt -nt $env/ready ]]; then
        "$python" -m venv "$env" &&
            "$env/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' &&
            touch "$env/ready"
    fi
    if [[ -e $env/ready ]] && "$env/bin/python" -m pytest -n auto --dist loadfile "$@"; then
        summary+=("$version: passed ($("$env/bin/python" -V))")
    else
        summary+=("$version: FAILED") status=1
    fi
done
printf 'Python %s\n' "${summary[@]}"
exit "$status"

#!/bin/sh
# install.sh VENV EXTRA[,EXTRA]: paylog and its dependencies, as constraints.txt pins them, into VENV.
set -eu
venv=$1
extras=$2
unset PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

say() { printf '%s\n' "$*"; }
fail() { printf 'paylog: %s\n' "$*" >&2; exit 1; }

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
python=
for name in "$venv/bin/python" python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null 2>&1 && "$name" -c "$supported" 2>/dev/null; then
        python=$name
        break
    fi
done
[ -n "$python" ] || fail "needs Python 3.11, 3.12 or 3.13, and found $(python3 --version 2>/dev/null || echo none).
  Debian and Ubuntu: apt install python3 python3-venv.  macOS: brew install python@3.13.  Then run make again."

free=$(df -Pk . | awk 'NR == 2 { print $4 }')
[ "$free" -ge 3000000 ] || fail "needs 3 GB of free disk here, and there are $((free / 1000)) MB. Free some and run make again."

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c "$supported" 2>/dev/null; then
    say "Making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "could not make a virtual environment: install the venv module
  (Debian and Ubuntu: apt install python3-venv) and run make again."
fi

say "Installing paylog[$extras] and its dependencies"
if command -v uv >/dev/null 2>&1; then
    uv=uv
elif "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv 2>/dev/null; then
    uv=$venv/bin/uv
else
    uv=
fi
if [ -n "$uv" ]; then
    "$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" -c constraints.txt -e ".[$extras]" ||
        fail "the installation failed: the lines above say why. It needs a Python package index."
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]" ||
        fail "the installation failed: the lines above say why. It needs a Python package index."
fi
for extra in $(printf '%s' "$extras" | tr ',' ' '); do
    touch "$venv/.installed-$extra"
done
[ "$extras" = demo ] || touch "$venv/.installed-demo"

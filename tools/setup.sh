# Sourced by the scripts beside it: the project's own environment in .venv.
#
# `prepare EXTRAS` makes it when it is missing, installs the project (editable) with
# `[EXTRAS]` when pyproject.toml has changed, and says nothing when there is nothing to do.
# shellcheck shell=sh

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.venv
venv_python=$venv/bin/python
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME # start-up as users get it, modules from .venv

fail() {
    echo "nvtrap: $1" >&2
    exit 2
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for python in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$python"; then break; fi
        [ "$python" != "${PYTHON:-}" ] || fail "PYTHON is \`$python\`, which is not Python 3.11 or newer"
        python=
    done
    [ -n "$python" ] || fail "no Python 3.11 or newer found; install one, or say PYTHON=/path/to/python3"
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
        fail "\`$python\` lacks venv or pip; install them (Debian, Ubuntu: python3-venv)"
}

has_pip() {
    "$venv_python" -c 'import pip' >/dev/null 2>&1
}

install_project() {
    has_pip || find_python
    echo "nvtrap: setting up $venv" >&2
    has_pip || "$python" -m venv --clear "$venv" || fail "\`$venv\` cannot be made, see above"
    (cd "$root" && "$venv_python" -m pip install -qq --disable-pip-version-check -e ".$1") ||
        fail "pip could not install the project, see above"
    "$venv_python" -m compileall -q "$root/nvtrap"
}

prepare() {
    extras=${1:+[$1]}
    stamp=$venv/installed$extras
    wanted="$root $(cksum <"$root/pyproject.toml")"
    if [ -x "$venv_python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    install_project "$extras"
    for stamp in "$venv/installed" "$stamp"; do echo "$wanted" >"$stamp"; done
}

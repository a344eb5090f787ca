#!/bin/sh
# Makes .venv hold exactly what requirements.lock lists. Does nothing when it already does.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The newest Python is not always the best one: some wheels exist for 3.11 and 3.12 first.
find_python() {
    for name in ${PYTHON:-python3.12 python3.11 python3 python3.13 python3.14}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is needed: install it, or name it like this: make PYTHON=/path/to/python3.11 ..."
}

# Debian ships Python without the parts that make environments; root may install them, others may have pip at hand.
make_environment() {
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        if "$python" -c 'import venv, pip' >/dev/null 2>&1; then
            "$python" -m venv --clear --without-pip .venv
            "$python" -m pip --python .venv/bin/python install --quiet --no-input pip && return
        fi
        install_venv_module
    fi
    "$python" -m venv --clear .venv || fail "$python could not make a virtual environment in $root/.venv."
}

install_venv_module() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "$python cannot make virtual environments: as root, run 'apt-get install python3-venv', then try again."
    say "Installing Debian's package python3-venv ..."
    log=$(mktemp)
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } \
        >"$log" 2>&1 </dev/null || { cat "$log" >&2; fail "apt-get could not install python3-venv."; }
    rm -f "$log"
}

install_packages() {
    log=.venv/install.log
    say "Installing $(grep -c '==' requirements.lock) packages into .venv, a minute or two ..."
    { .venv/bin/python -m pip install --no-input --disable-pip-version-check --require-hashes \
        -r requirements.lock 2>&1 </dev/null || echo failed >.venv/failed; } |
        tee "$log" | awk '/^(Collecting|Installing)/ { printf "."; fflush() } END { print "" }' >&2
    if [ -e .venv/failed ]; then
        tail -n 30 "$log" >&2
        fail "pip could not install the packages; the whole log is in $root/$log."
    fi
}

# The folder is part of the mark, for a virtual environment does not survive being moved.
mark="$root $(sha256sum <requirements.lock)"
[ "$(cat .venv/made-from 2>/dev/null || true)" = "$mark" ] && exit 0

python=$(find_python)
make_environment
install_packages
cat >.venv/bin/sluice <<COMMAND
#!/bin/sh
PYTHONPATH='$root' exec '$root/.venv/bin/python' -m app.cli "\$@"
COMMAND
chmod +x .venv/bin/sluice
echo "$mark" >.venv/made-from

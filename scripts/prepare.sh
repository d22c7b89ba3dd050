# Functions for the other scripts: find Python, make .venv, install packages of the distribution.
# To be sourced by a POSIX shell, in the top folder of the checkout. It must not run anything by itself.

say() { printf '%s\n' "scripts: $*" >&2; }
fail() { say "$*"; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# Path of a Python >= 3.11: $PYTHON, else the first that fits.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    fail "Python 3.11 or newer is needed (set PYTHON to its path)"
}

# apt_install PACKAGE: true if it is installed afterwards. Fetches the lists once a run.
apt_install() {
    is_root && command -v apt-get >/dev/null 2>&1 || return 1
    if [ -z "${APT_UPDATED:-}" ]; then
        say "apt-get update"
        apt-get -q update >/dev/null 2>&1 || say "apt-get update failed; going on with the lists that are there"
        APT_UPDATED=1
    fi
    say "apt-get install $1"
    # A peer is started by whoever needs it; as a service of the system it would keep a port.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    else
        policy=""
    fi
    installed=0
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$1" >/dev/null 2>&1 || installed=$?
    [ -z "$policy" ] || rm -f "$policy"
    # Nor may it be one from the next start of the machine on.
    case $1 in
        orthanc) systemctl disable -q orthanc >/dev/null 2>&1 || true ;;
        openssh-server) systemctl disable -q ssh >/dev/null 2>&1 || true ;;
        prometheus) systemctl disable -q prometheus prometheus-node-exporter >/dev/null 2>&1 || true ;;
    esac
    return "$installed"
}

works() { [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

try_venv() { "$python" -m venv .venv >/dev/null 2>&1 && works; }

# Debian leaves venv and pip out of python3: install python3-venv, or fetch virtualenv for this one purpose.
make_venv() {
    works && return 0
    python=$(find_python) || exit 1
    [ -e .venv ] && [ ! -e .venv/pyvenv.cfg ] && fail ".venv is there and is no virtual environment; move it away"
    rm -rf .venv
    say "making .venv with $python"
    try_venv && return 0
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    for package in "python$version-venv" python3-venv; do
        rm -rf .venv
        apt_install "$package" && try_venv && return 0
    done
    rm -rf .venv
    tools=$(mktemp -d)
    if "$python" -m pip install -q --target "$tools" virtualenv >/dev/null 2>&1; then
        PYTHONPATH="$tools" "$python" -m virtualenv -q .venv >/dev/null 2>&1 || true
    fi
    rm -rf "$tools"
    works || fail "cannot make .venv: install python3-venv (apt install python3-venv) and try again"
}

# For tests and benches: a C compiler and Python's headers, if they are missing and can be had.
prepare_compiler() {
    make_venv
    headers=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
    version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    command -v cc >/dev/null || { apt_install gcc && apt_install libc6-dev; } ||
        say "no C compiler (apt install gcc): the compiled helper is left out"
    [ -e "$headers" ] || apt_install "python$version-dev" || apt_install python3-dev ||
        say "$headers is missing (apt install python3-dev): the compiled helper is left out"
    .venv/bin/python -c 'import ctypes; ctypes.CDLL("libxxhash.so.0")' 2>/dev/null || apt_install libxxhash0 ||
        say "libxxhash is missing (apt install libxxhash0): images that are alike are received one by one"
}

# What `pip install` makes something of.
sources() { cat setup.cfg setup.py actors/*/_*.[ch]; }

# install_project EXTRAS: the checkout itself, editable, e.g. "" or "[test]"; again only when what it is made of changed.
# Without a C compiler and Python's headers the part in C is left out, and everything works, more slowly.
install_project() {
    make_venv
    stamp=".venv/installed$(printf '%s' "$1" | tr -c 'a-z\n' '-')"
    if [ -e "$stamp" ] && sources | cmp -s - "$stamp"; then
        return 0
    fi
    say "installing scanpost$1 into .venv (first time: a minute or two)"
    .venv/bin/python -m pip install -qq --disable-pip-version-check -e ".$1" || fail "pip could not install scanpost$1"
    sources >"$stamp"
}

#!/bin/sh
# Makes .venv ready: system packages, virtual environment, Spikeloom with one extra.
#
#     tools/bootstrap.sh all      what the commands need
#     tools/bootstrap.sh dev      the same and the tools of the tests
#
# PYTHON names the interpreter, 3.11 or newer (default: python3; once .venv exists, its own).
# The stamp in .venv says what is installed; as long as it holds, this script ends at once. It is
# deleted before and written after an installation, so that an interrupted one is done again.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."

case "${1-}" in
    all | dev) extra=$1 ;;
    *) echo "usage: tools/bootstrap.sh all|dev" >&2; exit 2 ;;
esac
python=${PYTHON:-python3}
stamp=.venv/spikeloom-stamp
# A virtual environment holds absolute paths, so a moved or copied one is not valid.
state="$(cksum <pyproject.toml) $(pwd -P)"

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

fresh=yes have_extra='' have_state=''
if [ -r "$stamp" ] && [ -x .venv/bin/python ]; then
    { read -r have_extra; read -r have_python; IFS= read -r have_state; } <"$stamp" || :
    if [ "${have_state#* * }" = "${state#* * }" ] && [ "${PYTHON:-$have_python}" = "$have_python" ]
    then
        fresh=no python=$have_python
    fi
fi
if [ "$fresh" = no ] && [ "$have_state" = "$state" ]; then
    case "$have_extra" in "$extra" | dev) exit 0 ;; esac
fi

# Installs Debian packages where that is allowed, else says how; a failure is not the end.
need() {
    if ! command -v apt-get >/dev/null; then
        say "missing:$1; please install what corresponds to these Debian packages"
    elif [ "$(id -u)" != 0 ]; then
        say "missing:$1; to install, type"
        say "    sudo apt-get update && sudo apt-get install --no-install-recommends$1"
    else
        say "installing Debian packages:$1"
        # Unquoted on purpose: one word a package.
        # shellcheck disable=SC2086
        { apt-get -qq update &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $1; } \
            >&2 </dev/null || say "apt-get failed; going on without:$1"
    fi
}

missing=''
for program in g++ make perl iverilog ccache; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
if [ "$python" = python3 ] && ! command -v python3 >/dev/null; then
    need "$missing python3"
    missing=''
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    die "no working Python at '$python': install Python 3.11 or newer, or name one: PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "'$python' is Python $version, but 3.11 or newer is needed: name one with PYTHON=..."

has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }
# cocotb loads Python into the simulator as a shared library, which Debian packs separately.
has_libpython() {
    "$python" -c 'import ctypes, sysconfig
ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))' 2>/dev/null
}
if [ "$("$python" -c 'import sys; print(sys.base_prefix)')" = /usr ]; then
    has_venv || missing="$missing python$version-venv"
    has_libpython || missing="$missing libpython$version"
fi
[ -z "$missing" ] || need "$missing"
[ "$fresh" = no ] || has_venv ||
    die "'$python' cannot make a virtual environment: its module venv or ensurepip is missing"

rm -f "$stamp"
if [ "$fresh" = yes ]; then
    say "making .venv with Python $version"
    # The interpreter may be that of an activated .venv, about to go: take the one beneath it.
    base=$("$python" -c 'import sys; print(sys._base_executable)')
    rm -rf .venv
    "$base" -m venv .venv
fi
say "installing spikeloom[$extra] into .venv; the first time takes a few minutes"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extra]"
printf '%s\n' "$extra" "$python" "$state" >"$stamp"

#!/bin/sh
# Makes everything that `make run` and `make test` need: system packages where we are root and have apt, a virtual
# environment with benchproof in it, and a Debian kernel as a file. Quick when there is nothing to do. Nothing here
# fails for want of root: what is missing shows up as `unsupported`, with the command that gets it.
set -eu
python=$1 venv=$2
cd "$(dirname "$0")/.."

# command -> Debian package that brings it
needs="cc:gcc musl-gcc:musl-tools qemu-system-x86_64:qemu-system-x86 bwrap:bubblewrap runsc:runsc crun:crun lz4:lz4 zstd:zstd xz:xz-utils mmdebstrap:mmdebstrap mke2fs:e2fsprogs mkfs.erofs:erofs-utils mksquashfs:squashfs-tools qemu-img:qemu-utils"
missing=""
for need in $needs; do
    command -v "${need%%:*}" >/dev/null 2>&1 || missing="$missing ${need##*:}"
done
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev" # gcc only recommends it
[ "$python" != python3 ] || command -v python3 >/dev/null 2>&1 || missing="$missing python3"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
[ -d /var/lib/apt/lists ] && ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "setup: installing$missing" >&2
        apt-get update -qq >/dev/null || echo "setup: apt-get update failed; going on with what is there" >&2
        for package in $missing; do # one by one: a release that lacks one of them still gets the others
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
                echo "setup: no package '$package' here; what needs it will be unsupported" >&2
        done
    else
        echo "setup: not here (as root: apt-get install$missing)" >&2
    fi
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "setup: expected Python 3.11 or newer as '$python', found $("$python" --version 2>&1 | head -n 1)" >&2
    echo "setup: name another one: make PYTHON=python3.12" >&2
    exit 2
}

stamp="$venv/.ready"
wanted=$(cat pyproject.toml constraints.txt | cksum; "$python" --version)
if [ ! -x "$venv/bin/benchproof" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "setup: making $venv" >&2
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
    "$venv/bin/python" -m compileall -q "$venv/lib" src >/dev/null 2>&1 || true # some machines never byte-compile
    # Starts every target once: builds the probe, fetches the kernel, tries KVM. What it misses is no failure of setup.
    "$venv/bin/benchproof" doctor >&2 || true
    # A Debian root file system for guests with a disk: a minute, once. Without it root = "debian" is unsupported.
    "$venv/bin/python" -m benchproof.guest.prepare || true
    printf '%s' "$wanted" >"$stamp"
fi

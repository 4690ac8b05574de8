#!/bin/sh
# deps.sh PACKAGE...: installs the Debian packages that are missing, says which; does nothing where all are there.
set -eu
missing=
for p in "$@"; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "deps: installing$missing"
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
# A machine that has never fetched the package lists knows none of the names.
# shellcheck disable=SC2086 # the list is split on purpose
apt-cache show $missing >/dev/null 2>&1 || $sudo apt-get update -q
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2

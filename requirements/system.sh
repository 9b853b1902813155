#!/bin/sh
# Install the programs that pip cannot. Example: requirements/system.sh bwrap:bubblewrap chromium:chromium
#
# Each argument is PROGRAM:DEBIAN_PACKAGE; only packages whose program is missing are installed. Without root or
# apt-get, or when apt-get fails, this prints the one line to run and exits with 0: the rest of the set-up goes on.
set -u

missing=
for pair in "$@"; do
  command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing missing packages with apt-get:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # one word per package
  apt-get update -qq >/dev/null && apt-get install -y -qq $missing >/dev/null && exit 0
fi
echo "sudo apt-get install$missing  # missing here: run this line, or its equivalent on this system"

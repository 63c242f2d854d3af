#!/bin/sh
# Runs one pass of the Autobahn WebSocket test suite against a relay that is already up.
#
#   autobahn.sh URL text|binary|limits OUTDIR
#
# text:   a relay of lines, in front of `echo_backend.py line`
# binary: a relay of raw bytes, in front of `echo_backend.py raw`
# limits: as text, with long messages and many of them; the relay needs --max-line 17MiB
#
# The cases of a pass are in text.json and so on; OUTDIR gets log.txt, index.json and one JSON file per case. The suite
# is installed on first use, in target/autobahn. A pass is cut short after $AUTOBAHN_SECONDS (600).
# Exit status: 0 the suite ran, whatever it found; 2 it did not.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 3 ] || [ ! -f "$here/$2.json" ]; then
  echo "usage: autobahn.sh URL text|binary|limits OUTDIR" >&2
  exit 2
fi
url=$1 pass=$2 out=$3

suite=${CARGO_TARGET_DIR:-$here/../../target}/autobahn
"$here/../venv" "$suite" "$here/requirements.txt" --no-compile || exit 2

mkdir -p "$out"
"$suite/bin/python" "$here/fuzzingclient.py" "$here/$pass.json" "$url" "$out" "${AUTOBAHN_SECONDS:-600}" \
  >"$out/log.txt" 2>&1 || { grep -v '^Cases = ' "$out/log.txt" | tail -n 20 >&2; exit 2; }

# For the scripts of this folder, which source it: a folder $tmp that goes when they end, and the built-in endpoint at $url.
tmp=$(mktemp -d)
trap 'kill "${mock:-}" 2>/dev/null || true; rm -rf "$tmp"' EXIT

two_cores() { command -v taskset >/dev/null && [ "$(nproc)" -ge 2 ]; }

pin() { # core, command: on that core, where there are two
  local core=$1
  shift
  if two_cores; then exec taskset -c "$core" "$@"; else exec "$@"; fi
}

start_endpoint() { # options of perigee mock: on core 1
  (pin 1 scripts/perigee mock --port 0 "$@") >"$tmp/mock" 2>"$tmp/mock.err" &
  mock=$!
  for _ in $(seq 100); do grep -q listening "$tmp/mock" && break; sleep 0.05; done
  url=$(sed -n 's/^listening on //p' "$tmp/mock")
  [ -n "$url" ] || { cat "$tmp/mock.err" >&2; exit 1; }
}

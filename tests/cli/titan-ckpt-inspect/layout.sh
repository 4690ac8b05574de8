# Which rank holds what: rows, columns, a grid, nested shards, empty ones; files where there are no ranks.
cd "$ROOT/tests/golden" && titan-ckpt-inspect --layout --exclude none dcp-rows4 dcp-grid4 hf/dcp-sharded2 | sed -E 's/^( +[0-9]+ +[0-9]+ +[0-9]+) +[0-9]+ /\1 N/'

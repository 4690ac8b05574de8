# completions/ and the generated parts of man/ are what the programs' tables say today
cd "$ROOT" && tests/generate.sh --check

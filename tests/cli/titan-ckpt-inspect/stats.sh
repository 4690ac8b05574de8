# Every dtype; chunks of two ranks; views of one storage; the same on one thread and on four; a damaged tensor does not end it.
g=$ROOT/tests/golden
for c in dcp-types hf/types.safetensors dcp-rows2 pt/views.pt; do titan-ckpt-inspect --stats "$g/$c"; done | sed "s|$ROOT/||"
titan-ckpt-inspect --stats --threads 4 "$g/dcp-types" "$g/dcp-rows2" >four
titan-ckpt-inspect --stats --threads 1 "$g/dcp-types" "$g/dcp-rows2" | cmp - four
cd "$g/bad" && titan-ckpt-inspect --stats wrong-crc

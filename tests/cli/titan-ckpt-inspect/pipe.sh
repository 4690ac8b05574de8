# A safetensors file, a .pt and a .metadata through a pipe; one that is cut; and nothing at all.
cd "$ROOT/tests/golden" || exit
for file in hf/small.safetensors pt/views.pt dcp-rows2/.metadata; do
	cat <"$file" | titan-ckpt-inspect -
done
head -c 1000 pt/views.pt | titan-ckpt-inspect -
titan-ckpt-inspect - </dev/null

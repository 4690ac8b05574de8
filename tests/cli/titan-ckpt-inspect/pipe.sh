# A safetensors file, a .pt and a .metadata through a pipe, the last as a file too, by its name and on stdin; one that is cut; nothing at
# all; and a .metadata alone where its data is asked for.
cd "$ROOT/tests/golden" || exit
for file in hf/small.safetensors pt/views.pt dcp-rows2/.metadata; do
	cat <"$file" | titan-ckpt-inspect -
done
titan-ckpt-inspect dcp-rows2/.metadata | tail -n +2
titan-ckpt-inspect - <dcp-rows2/.metadata | tail -n +2
head -c 1000 pt/views.pt | titan-ckpt-inspect -
titan-ckpt-inspect - </dev/null
titan-ckpt-inspect --stats dcp-rows2/.metadata
# A .pt of before PyTorch 1.6.
printf '\200\002\212\nl\374\234F\371 j\250P\031.\200\002M\351\003.' >"$OLDPWD/old.pt"
cd "$OLDPWD" || exit
titan-ckpt-inspect - <old.pt
titan-ckpt-inspect old.pt

# What is whole; then the damaged goldens, each with all that is wrong with it.
cd "$ROOT/tests/golden" || exit
titan-ckpt-inspect --verify dcp-types dcp-rows4 dcp-zstd pt/views.pt hf/dcp-sharded2 hf/small.safetensors || exit
cp pt/views.pt "$OLDPWD/x.pt" && cd "$OLDPWD" && printf X | dd of=x.pt bs=1 seek=850 conv=notrunc status=none
titan-ckpt-inspect --verify x.pt
cd "$ROOT/tests/golden/bad" && titan-ckpt-inspect --verify -- */

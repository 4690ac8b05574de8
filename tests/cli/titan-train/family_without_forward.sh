# A family whose tensors titan knows, but whose forward function it lacks, is refused; so is one that is none.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-train "${flags[@]}" --model.name qwen3 --model.flavor debugmodel 2>&1 | plain | tail -1
titan-seed "${flags[@]}" --model.name gpt_oss --model.flavor debugmodel 2>&1 | plain | tail -1
titan-train "${flags[@]}" --model.name qwen4 2>&1 | plain | tail -1

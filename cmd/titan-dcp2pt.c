/* titan-dcp2pt: a DCP checkpoint folder as one .pt or .safetensors file, and back. */
#include <stdio.h>
#include <string.h>

#include "base/spill.h"
#include "convert/passes.h"
#include "convert/tool.h"

struct options {
    struct tt_tool_opts tool;
    bool reverse, flat;
    const char *prefix, *strip_prefix, *format;
};
#define FIELD(name) offsetof(struct options, name)

static const char *const formats[] = { "pt", "safetensors", NULL };
static const struct tt_opt opts[] = {
    { .name = "reverse", .kind = TT_OPT_FLAG, .offset = FIELD(reverse),
      .text = "Write a DCP folder, of a .pt or .safetensors file; - is the standard input." },
    { .name = "format", .kind = TT_OPT_STR, .offset = FIELD(format), .choices = formats, .arg = "FORMAT",
      .text = "What is written, whatever the name of the output. Without it the name says that: .pt, .pth or .safetensors; the "
              "standard output gets a .pt." },
    { .name = "flat", .kind = TT_OPT_FLAG, .offset = FIELD(flat),
      .text = "Write one dict whose keys are the whole names, optimizer.state.norm.weight.step and so on, not dicts in dicts." },
    { .name = "prefix", .kind = TT_OPT_STR, .offset = FIELD(prefix), .arg = "P", .text = "Put P before the name of every key." },
    { .name = "strip_prefix", .kind = TT_OPT_STR, .offset = FIELD(strip_prefix), .arg = "P",
      .text = "Take P from the names that start with it; before --prefix. The others stay as they are." },
    { 0 },
};

static const struct tt_prog prog = {
    .name = "titan-dcp2pt",
    .synopsis = "[options] DCP_DIR FILE\n       titan-dcp2pt --reverse [options] FILE DCP_DIR",
    .about = "write a DCP checkpoint as one .pt or .safetensors file, and back",
    .opts = opts,
    .args_min = 2,
    .args_max = 2,
    .shared = tt_tool_rows,
    .shared_rows = TT_TOOL_ALL,
};

/* What the output is. */
static tt_status choose_format(enum tt_ckpt_format *out, const struct options *how, const char *path, struct tt_err *err)
{
    if (how->reverse && how->format)
        return tt_err_set(err, TT_EUSAGE, "--format: with --reverse a DCP folder is written");
    if (how->reverse && strcmp(path, "-") == 0)
        return tt_err_set(err, TT_EUSAGE, "a DCP folder cannot be written to stdout");
    if (how->reverse)
        *out = TT_CKPT_DCP;
    else if (how->format ? strcmp(how->format, "safetensors") == 0 : tt_has_suffix(path, ".safetensors"))
        *out = TT_CKPT_SAFETENSORS;
    else if (how->format || strcmp(path, "-") == 0 || tt_has_suffix(path, ".pt") || tt_has_suffix(path, ".pth"))
        *out = TT_CKPT_PT;
    else
        return tt_err_set(err, TT_EUSAGE, "%s: expected a name that ends in .pt, .pth or .safetensors, or --format", path);
    return TT_OK;
}

static tt_status make_recipe(struct tt_recipe *recipe, struct tt_ckpt *ckpt, enum tt_ckpt_format format, const struct options *how,
                             struct tt_err *err)
{
    tt_status st = tt_tool_add_all(recipe, ckpt, &how->tool, err);

    if (st == TT_OK && how->strip_prefix)
        st = tt_recipe_strip_prefix(recipe, how->strip_prefix, err);
    if (st == TT_OK && how->prefix)
        st = tt_recipe_add_prefix(recipe, how->prefix, err);
    if (st == TT_OK && how->flat)
        tt_recipe_flatten(recipe);
    if (st == TT_OK && format == TT_CKPT_SAFETENSORS)
        st = tt_recipe_keep_safetensors(recipe, err);
    return st;
}

static tt_status run(const char *from, const char *to, const struct options *how, struct tt_err *err)
{
    struct tt_target target = { .path = to, .flat = how->flat };
    struct tt_arena arena = { 0 };
    struct tt_recipe recipe = { 0 };
    struct tt_ckpt *ckpt = NULL;
    const bool is_stdin = strcmp(from, "-") == 0;
    const char *beside = tt_path_dir(&arena, to);
    tt_status st = beside ? choose_format(&target.format, how, to, err) : tt_err_nomem(err, strlen(to), to);

    if (st == TT_OK && is_stdin)
        st = tt_spill_stdin(beside, err);
    if (st == TT_OK)
        st = tt_ckpt_open(&ckpt, is_stdin ? "/dev/stdin" : from, err);
    if (st == TT_OK)
        st = make_recipe(&recipe, ckpt, target.format, how, err);
    if (st == TT_OK)
        st = tt_tool_write(&prog, &recipe, &target, &how->tool, err);
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
    tt_arena_release(&arena);
    return st;
}

int main(int argc, char **argv)
{
    struct options how = { 0 };
    struct tt_err err = { 0 };
    int first;

    tt_status st = tt_opt_parse(&prog, argc, argv, &how, &first, &err);
    if (st == TT_OK)
        st = run(argv[first], argv[first + 1], &how, &err);
    tt_opt_release(&prog, &how);
    return st == TT_EUSAGE ? tt_prog_usage(&prog, &err) : tt_prog_finish(&prog, st == TT_OK ? 0 : tt_prog_report(&prog, &err));
}

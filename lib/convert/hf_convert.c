#include "convert/hf_convert.h"

#include <string.h>

#include "base/file.h"
#include "base/names.h"
#include "convert/hf_config.h"

/* --- the direction --------------------------------------------------------------------------------------------------------- */

static const char *const format_texts[] = {
    [TT_CKPT_DCP] = "a DCP folder",        [TT_CKPT_PT] = "a .pt file",      [TT_CKPT_SAFETENSORS] = "a .safetensors file",
    [TT_CKPT_HF] = "a Hugging Face folder", [TT_CKPT_MEMORY] = "a running job",
};

static tt_status find_direction(enum tt_hf_direction *out, const struct tt_hf_convert_opts *job, enum tt_ckpt_format format,
                                struct tt_err *err)
{
    const enum tt_hf_direction shown = format == TT_CKPT_HF || format == TT_CKPT_SAFETENSORS ? TT_HF_FROM : TT_HF_TO;

    if (job->direction != TT_HF_EITHER && job->direction != shown)
        return tt_err_set(err, TT_EINVAL, "%s: %s, found %s", job->input,
                          job->direction == TT_HF_FROM ? "from-hf reads a Hugging Face folder or a .safetensors file"
                                                       : "to-hf reads a DCP folder or a .pt file",
                          format_texts[format]);
    *out = shown;
    return TT_OK;
}

/* --- dtypes and keys ------------------------------------------------------------------------------------------------------- */

/* The last --dtype without a pattern is the recipe's own. */
static void find_dtype(struct tt_hf_opts *hf, const struct tt_tool_opts *tool)
{
    hf->dtype = TT_F32;
    for (size_t i = 0; i < tool->dtype.n; i++) {
        const char *text = tool->dtype.items[i];
        hf->like = strchr(text, '=') ? hf->like : strcmp(text, "like") == 0;
        tt_dtype_from_torch(text, &hf->dtype);
    }
}

/* The shared options without a dtype for all, which the recipe has already. The list is the caller's storage. */
static struct tt_tool_opts patterns_only(const struct tt_tool_opts *tool, const char **list)
{
    struct tt_tool_opts patterns = *tool;

    patterns.dtype = (struct tt_opt_list){ .items = list };
    for (size_t i = 0; i < tool->dtype.n; i++)
        if (strchr(tool->dtype.items[i], '='))
            list[patterns.dtype.n++] = tool->dtype.items[i];
    return patterns;
}

/* Leaves the items that are taken, each in the dtype that a pattern says. */
static tt_status choose(struct tt_recipe *recipe, const struct tt_tool_opts *tool, struct tt_err *err)
{
    const char **list = tt_arena_array(&recipe->arena, tool->dtype.n, sizeof *list);
    size_t kept = 0;

    if (!list)
        return tt_err_nomem(err, tool->dtype.n * sizeof *list, "the dtypes");
    const struct tt_tool_opts patterns = patterns_only(tool, list);
    for (size_t i = 0; i < recipe->n; i++) {
        struct tt_recipe_item item = recipe->items[i];
        if (!tt_tool_takes(tool, item.fqn))
            continue;
        const tt_status st = tt_tool_dtype(&item.output.dtype, &patterns, item.fqn, item.output.dtype, err);
        if (st != TT_OK)
            return st;
        recipe->items[kept++] = item;
    }
    if (kept == 0)
        return tt_err_set(err, TT_EINVAL, "--include and --exclude leave none of the output's %zu keys", recipe->n);
    recipe->n = kept;
    return tt_recipe_reindex(recipe, err);
}

/* --- what has no place ----------------------------------------------------------------------------------------------------- */

/* A tensor of the flavor that Hugging Face has no name for, such as llama4's expert_bias: it is left out without being asked. */
static bool is_of_flavor(const struct tt_params *params, const char *key)
{
    const size_t n = strlen(key);
    for (int i = 0; i < params->n; i++) {
        const size_t m = strlen(params->p[i].fqn);
        if (!params->p[i].row->hf && tt_has_suffix(key, params->p[i].fqn) && (n == m || key[n - m - 1] == '.'))
            return true;
    }
    return false;
}

static tt_status refuse_unused(struct tt_recipe *recipe, const struct tt_hf_opts *hf, struct tt_err *err)
{
    struct tt_params params;
    struct tt_names_text names = { 0 };
    tt_status st = tt_params_make(&params, &recipe->arena, hf->family, hf->args, err);

    for (size_t i = 0; st == TT_OK && i < recipe->unused.n; i++) {
        const char *key = recipe->unused.items[i];
        if (!is_of_flavor(&params, key))
            tt_names_text_add(&names, key);
    }
    const bool one = names.n == 1;
    if (names.n)
        st = tt_err_set(err, TT_EINVAL,
                        "%zu tensor%s of the input ha%s no place in the flavor (--allow_unused leaves out what has none): %s",
                        names.n, one ? "" : "s", one ? "s" : "ve", tt_names_text_end(&names));
    tt_names_text_release(&names);
    return st;
}

/* --- from Hugging Face ----------------------------------------------------------------------------------------------------- */

/* The config.json beside the input's tensors, or the assets'. */
static tt_status check_config(struct tt_hf_conversion *c, const struct tt_hf_convert_opts *job, const struct tt_hf_opts *hf,
                              struct tt_err *err)
{
    struct tt_hf_config config = { 0 };
    const char *folder = tt_path_is_dir(job->input) ? job->input : tt_path_dir(&c->recipe.arena, job->input);
    tt_status st = folder ? tt_hf_config_read(&config, &c->recipe.arena, folder, err) : tt_err_nomem(err, 0, "a path");

    if (st == TT_OK && !config.value && job->assets_path)
        st = tt_hf_config_read(&config, &c->recipe.arena, job->assets_path, err);
    if (st == TT_OK && config.value)
        st = tt_hf_config_check(&config, hf->family, hf->args, job->same_math, job->log, err);
    return st;
}

static tt_status plan_from(struct tt_hf_conversion *c, const struct tt_hf_convert_opts *job, const struct tt_hf_opts *hf, struct tt_err *err)
{
    c->target = (struct tt_target){ .format = TT_CKPT_DCP, .path = job->output, .also_read = job->assets_path };
    if (hf->like)
        return tt_err_set(err, TT_EINVAL, "--export_dtype like: to-hf knows what to be like, from-hf does not");
    const tt_status st = check_config(c, job, hf, err);
    return st == TT_OK ? tt_hf_read_recipe(&c->recipe, c->input, hf, err) : st;
}

/* --- to Hugging Face ------------------------------------------------------------------------------------------------------- */

static tt_status plan_to(struct tt_hf_conversion *c, const struct tt_hf_convert_opts *job, struct tt_hf_opts *hf, struct tt_err *err)
{
    c->target = (struct tt_target){ .format = TT_CKPT_HF, .path = job->output, .also_read = job->assets_path };
    if (hf->like && !job->assets_path)
        return tt_err_set(err, TT_EINVAL, "--export_dtype like: there is no --hf_assets_path to be like");
    const tt_status st = job->assets_path ? tt_hf_assets_open(&c->assets, job->assets_path, hf->like, err) : TT_OK;
    hf->assets = c->assets;
    return st == TT_OK ? tt_hf_write_recipe(&c->recipe, c->input, hf, err) : st;
}

/* --- both ------------------------------------------------------------------------------------------------------------------ */

tt_status tt_hf_convert_plan(struct tt_hf_conversion *out, const struct tt_hf_convert_opts *job, const struct tt_tool_opts *tool,
                             struct tt_err *err)
{
    struct tt_hf_opts hf = { .family = tt_family_find(job->model_name), .args = &out->args, .tt_names = job->tt_names };
    const struct tt_hf_folder_opts folder = { job->assets_path, job->max_shard_size, job->log };
    enum tt_hf_direction direction = TT_HF_EITHER;

    *out = (struct tt_hf_conversion){ .input = job->open };
    find_dtype(&hf, tool);
    tt_status st = tt_model_args_load(&out->args, job->model_name, job->model_flavor, err);
    if (st == TT_OK && !out->input)
        st = tt_ckpt_open(&out->input, job->input, err);
    if (st == TT_OK)
        st = find_direction(&direction, job, out->input->format, err);
    if (st == TT_OK)
        st = direction == TT_HF_FROM ? plan_from(out, job, &hf, err) : plan_to(out, job, &hf, err);
    if (st == TT_OK && !job->allow_unused)
        st = refuse_unused(&out->recipe, &hf, err);
    if (st == TT_OK)
        st = choose(&out->recipe, tool, err);
    if (st == TT_OK)
        st = tt_hf_note_recast(&out->recipe, err);
    if (st == TT_OK && direction == TT_HF_TO)
        st = tt_hf_folder_plan(&out->target, &out->recipe, &hf, &folder, err);
    return st;
}

void tt_hf_convert_release(struct tt_hf_conversion *conversion)
{
    tt_recipe_release(&conversion->recipe);
    tt_ckpt_close(conversion->assets);
    tt_ckpt_close(conversion->input);
    *conversion = (struct tt_hf_conversion){ 0 };
}

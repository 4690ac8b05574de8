/* TorchTitan's own tests of its configuration, tests/unit_tests/test_job_config.py of v0.2.2: the same files and arguments, the same
 * settings; or an error, where a row says what titan does not have. test_print_help is tests/cli/generated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "config/config_private.h"
#include "value/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { ARGS_MAX = 8 };

static const char debug_model[] = "configs/llama3/debug_model.toml";

static const struct {
    const char *test;
    const char *text, *path; /* what the file says; or the file */
    const char *args[ARGS_MAX];
    const char *key, *value; /* as JSON */
    tt_status status;
    const char *message; /* a part of it */
} rows[] = {
    { "test_command_line_args", .key = "training.steps", .value = "10000" },
    { "test_job_config_file", .path = debug_model, .key = "training.steps", .value = "10" },
    { "test_job_file_does_not_exist", .path = "ohno.toml", .status = TT_ENOENT, .message = "ohno.toml: cannot open: No such file" },
    { "test_empty_config_file", .text = "", .key = "job.description", .value = "\"default job\"" },
    { "test_job_config_file_cmd_overrides", .path = debug_model, .args = { "--job.dump_folder", "/tmp/test_tt/" },
      .key = "job.dump_folder", .value = "\"/tmp/test_tt/\"" },

    { "test_parse_module_fqns_per_model_part", .path = debug_model, .key = "parallelism.module_fqns_per_model_part", .value = "null" },
    { "toml has module names",
      .text = "[parallelism]\nmodule_fqns_per_model_part = [['tok_embeddings', 'layers.0'], ['layers.1', 'layers.2'], "
              "['layers.3', 'norm', 'output']]\n",
      .key = "parallelism.module_fqns_per_model_part",
      .value = "[[\"tok_embeddings\", \"layers.0\"], [\"layers.1\", \"layers.2\"], [\"layers.3\", \"norm\", \"output\"]]" },
    { "a list of lists",
      .text = "[parallelism]\nmodule_fqns_per_model_part = [\n    ['tok_embeddings', 'layers.0', 'layers.1'],\n"
              "    ['layers.2', 'layers.3', 'norm', 'output'],\n]\n",
      .key = "parallelism.module_fqns_per_model_part",
      .value = "[[\"tok_embeddings\", \"layers.0\", \"layers.1\"], [\"layers.2\", \"layers.3\", \"norm\", \"output\"]]" },
    { "empty chunks", .text = "[parallelism]\nmodule_fqns_per_model_part = [[], ['tok_embeddings'], []]\n",
      .key = "parallelism.module_fqns_per_model_part", .value = "[[], [\"tok_embeddings\"], []]" },

    { "test_parse_exclude_from_loading", .path = debug_model, .key = "checkpoint.exclude_from_loading", .value = "[]" },
    { "cmdline splits are specified", .path = debug_model, .args = { "--checkpoint.exclude_from_loading", "optimizer,lr_scheduler" },
      .key = "checkpoint.exclude_from_loading", .value = "[\"optimizer\", \"lr_scheduler\"]" },
    { "toml has split points", .text = "[checkpoint]\nexclude_from_loading = ['optimizer', 'dataloader']\n",
      .key = "checkpoint.exclude_from_loading", .value = "[\"optimizer\", \"dataloader\"]" },
    { "cmdline overrides them", .text = "[checkpoint]\nexclude_from_loading = ['optimizer', 'dataloader']\n",
      .args = { "--checkpoint.exclude_from_loading", "optimizer,lr_scheduler" }, .key = "checkpoint.exclude_from_loading",
      .value = "[\"optimizer\", \"lr_scheduler\"]" },

    { "test_job_config_model_converters_split", .key = "model.converters", .value = "[]" },
    /* Split as there, and then refused: training converts no model. */
    { "two converters", .args = { "--model.converters", "float8,mxfp" }, .status = TT_EINVAL,
      .message = "--model.converters: [\"float8\", \"mxfp\"] is not supported: titan trains in float32 and bfloat16" },

    /* More settings come from a Python class there; here the table is all there is, and the module that brings them is refused. */
    { "test_extend_job_config_directly", .args = { "--checkpoint.convert_path=/override/path" }, .status = TT_EUSAGE,
      .message = "--checkpoint.convert_path: no such setting" },
    { "a flag of the extension", .args = { "--checkpoint.fake_model" }, .status = TT_EUSAGE,
      .message = "--checkpoint.fake_model: no such setting" },
    { "test_custom_parser", .args = { "--job.custom_config_module=tests.assets.extended_job_config_example" }, .status = TT_EINVAL,
      .message = "--job.custom_config_module: \"tests.assets.extended_job_config_example\" is not supported: titan loads no Python" },
    { "in a file", .text = "[job]\ncustom_config_module = 'tests.assets.extended_job_config_example'\n", .status = TT_EINVAL,
      .message = ":2: job.custom_config_module: \"tests.assets.extended_job_config_example\" is not supported" },
    { "its section in a file",
      .text = "[job]\ncustom_config_module = 'm'\n[custom_config]\nhow_is_your_day = 'really good'\n",
      .status = TT_EINVAL, .message = ":3: custom_config: no such section" },
    { "an argument that nobody knows", .args = { "--model.converters", "", "--abcde" }, .status = TT_EUSAGE, /* exit 2 there too */
      .message = "--abcde: no such setting" },

    { "test_job_config_invalid_field", .text = "[model]\nname = 'llama3'\nfake_field = 0\n", .status = TT_EINVAL,
      .message = ":3: model.fake_field: no such setting" },
};

static const char *temporary(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/titan-job-config-%d.toml", (int)getpid());
    return path;
}

static tt_status load(struct tt_config *config, struct tt_arena *arena, size_t row, struct tt_err *err)
{
    char *argv[ARGS_MAX + 4] = { (char *)(uintptr_t) "titan-train" };
    int argc = 1;
    if (rows[row].text)
        assert_int_equal(tt_file_write_all(temporary(), rows[row].text, strlen(rows[row].text), NULL), TT_OK);
    if (rows[row].text || rows[row].path) {
        argv[argc++] = (char *)(uintptr_t) "--job.config_file";
        argv[argc++] = (char *)(uintptr_t)(rows[row].text ? temporary() : rows[row].path);
    }
    for (int i = 0; rows[row].args[i]; i++)
        argv[argc++] = (char *)(uintptr_t)rows[row].args[i];
    return tt_config_load(config, arena, argc, argv, NULL, err);
}

static void check_value(const struct tt_config *config, size_t row)
{
    const struct tt_setting *s = tt_setting_find(rows[row].key, strlen(rows[row].key));
    struct tt_arena arena = { 0 };
    struct tt_buf value = { 0 };
    assert_non_null(s);
    tt_json_write(&value, tt_setting_value(s, config, &arena), 0);
    if (strcmp(tt_buf_cstr(&value), rows[row].value) != 0)
        fail_msg("%s: %s is %s, expected %s", rows[row].test, rows[row].key, tt_buf_cstr(&value), rows[row].value);
    tt_buf_release(&value);
    tt_arena_release(&arena);
}

static void test_torchtitans_tests_pass_or_differ_as_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_arena arena = { 0 };
        struct tt_config config;
        struct tt_err err = { 0 };
        const tt_status status = load(&config, &arena, i, &err);
        if (status != rows[i].status)
            fail_msg("%s: status %d, expected %d: %s", rows[i].test, status, rows[i].status, err.msg);
        if (status == TT_OK)
            check_value(&config, i);
        else if (!strstr(err.msg, rows[i].message))
            fail_msg("%s: '%s' does not say '%s'", rows[i].test, err.msg, rows[i].message);
        tt_arena_release(&arena);
    }
    remove(temporary());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torchtitans_tests_pass_or_differ_as_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A folder for a test's checkpoints, with a small llama3 in it as tiny.yaml: a fixture of cmocka's. */
#ifndef TT_TESTS_TEST_FLAVOR_H
#define TT_TESTS_TEST_FLAVOR_H

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static char folder[] = "/tmp/titan-flavor-XXXXXX";

static int make_folder(void **state)
{
    static const char flavor[] = "dim: 24\nn_layers: 2\nn_heads: 4\nn_kv_heads: 2\nvocab_size: 130\nmultiple_of: 8\n";
    char path[64];
    struct tt_err err;
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/tiny.yaml", folder);
    return tt_file_write_all(path, flavor, sizeof flavor - 1, &err) == TT_OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct tt_err err;
    (void)state;
    return tt_remove_all(folder, &err) == TT_OK ? 0 : -1;
}

#endif

/* Who works with whom, held against the meshes that the real TorchTitan builds (tests/golden/meshes.txt). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/mesh.h"

static enum tt_mesh_dim dim_of(const char *name)
{
    for (int dim = 0; dim < TT_MESH_NDIMS; dim++)
        if (strcmp(tt_mesh_names[dim], name) == 0)
            return (enum tt_mesh_dim)dim;
    fail_msg("no dimension %s", name);
    return TT_MESH_NDIMS;
}

/* "degrees 1 4 1 2 1 2 2 of 8": dp_replicate, dp_shard, cp, tp, pp, ep, etp, as ParallelDims takes them. */
static struct tt_degrees degrees_of(const char *line)
{
    struct tt_degrees d;
    int64_t nranks;

    assert_int_equal(sscanf(line, "degrees %ld %ld %ld %ld %ld %ld %ld of %ld", &d.dp_replicate, &d.dp_shard, &d.cp, &d.tp, &d.pp,
                            &d.ep, &d.etp, &nranks),
                     8);
    if (d.dp_shard == -1)
        d.dp_shard = nranks / (d.dp_replicate * d.cp * d.tp * d.pp);
    assert_int_equal(tt_degrees_check(&d, NULL), TT_OK);
    assert_int_equal(tt_degrees_nranks(&d), nranks);
    return d;
}

/* "fsdp 3 1 : 1 3": of rank 3 place 1 of its group, which are the ranks that follow. */
static void check_group(const struct tt_degrees *d, const char *line)
{
    char name[32];
    int rank, place, at, n = 0;

    assert_int_equal(sscanf(line, "%31s %d %d :%n", name, &rank, &place, &at), 3);
    const struct tt_mesh mesh = { .degrees = *d, .rank = rank };
    const enum tt_mesh_dim dim = dim_of(name);

    assert_int_equal(tt_mesh_coord(&mesh, dim), place);
    for (char *p = (char *)line + at, *end; *p && *p != '\n'; p = end, n++)
        assert_int_equal(tt_mesh_peer(&mesh, dim, n), strtol(p, &end, 10));
    assert_int_equal(tt_mesh_size(&mesh, dim), n);
}

static void test_groups_are_those_of_torchtitan(void **state)
{
    (void)state;
    struct tt_degrees d = { 0 };
    char line[256];
    int ngroups = 0;
    FILE *f = fopen("tests/golden/meshes.txt", "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "degrees ", 8) == 0) {
            d = degrees_of(line);
        } else {
            check_group(&d, line);
            ngroups++;
        }
    }
    fclose(f);
    assert_int_equal(ngroups, 790);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_groups_are_those_of_torchtitan) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#define _GNU_SOURCE
/* Recipes, written as checkpoints of every format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zstd.h>
#include <cmocka.h>

#include "base/file.h"
#include "ckpt/load.h"
#include "ckpt/save.h"
#include "ckpt/write.h"

#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

/* ROWS x COLS floats are copied by the kernel where that can be, "small" is not. */
enum { ROWS = 300, COLS = 257, NUMEL = ROWS * COLS, SMALL = 7 };
static const int64_t big_shape[] = { ROWS, COLS }, small_shape[] = { SMALL };
static const struct tt_path_part step_path[] = { { "train_state", 0 }, { "step", 0 } };

struct fixture {
    char dir[64], in[96], out[96];
    float big[NUMEL], small[SMALL];
    struct tt_arena arena;
    struct tt_ckpt *src;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/titan-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->in, sizeof f->in, "%s/in", f->dir);
    snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    for (int i = 0; i < NUMEL; i++)
        f->big[i] = (float)i * 0.5F;
    for (int i = 0; i < SMALL; i++)
        f->small[i] = (float)-i;
    const struct tt_save_item items[] = {
        { .fqn = "big.weight", .dtype = TT_F32, .ndim = 2, .shape = big_shape, .data = f->big },
        { .fqn = "train_state.step", .path = step_path, .npath = 2, .value = tt_value_int(&f->arena, 7) },
        { .fqn = "small", .dtype = TT_F32, .ndim = 1, .shape = small_shape, .data = f->small },
    };
    assert_ok(tt_dcp_save(f->in, items, 3, NULL, &e_));
    assert_ok(tt_ckpt_open(&f->src, f->in, &e_));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tt_ckpt_close(f->src);
    const int failed = tt_remove_all(f->dir, NULL) != TT_OK;
    tt_arena_release(&f->arena);
    free(f);
    return failed;
}

static void assert_reads_back(const struct fixture *f, const char *path, bool with_step)
{
    static float big[NUMEL], small[SMALL];
    struct tt_ckpt *ckpt = NULL;
    const struct tt_value *step = NULL;

    assert_ok(tt_ckpt_open(&ckpt, path, &e_));
    const struct tt_want wants[] = {
        { .fqn = "big.weight", .dtype = TT_F32, .ndim = 2, .shape = big_shape, .dst = big },
        { .fqn = "small", .dtype = TT_F32, .ndim = 1, .shape = small_shape, .dst = small },
    };
    assert_ok(tt_ckpt_load(ckpt, wants, 2, NULL, &e_));
    assert_memory_equal(big, f->big, sizeof big);
    assert_memory_equal(small, f->small, sizeof small);
    if (with_step) {
        assert_ok(tt_ckpt_value(ckpt, "train_state.step", &step, &e_));
        assert_int_equal(step->u.i, 7);
    }
    tt_ckpt_close(ckpt);
}

/* The names in the test's folder, each with a space behind it. */
static const char *names_in(struct fixture *f)
{
    struct tt_buf text = { 0 };
    char **names;
    size_t n;

    assert_ok(tt_dir_list(&f->arena, f->dir, &names, &n, &e_));
    for (size_t i = 0; i < n; i++)
        tt_buf_printf(&text, "%s ", names[i]);
    const char *copy = tt_arena_str(&f->arena, tt_buf_cstr(&text));
    tt_buf_release(&text);
    return copy;
}

static void assert_refused(struct fixture *f, const struct tt_target *target, const struct tt_write_opts *opts, const char *why)
{
    const char *before = names_in(f);
    struct tt_err err = { 0 };

    assert_int_not_equal(tt_ckpt_write(f->src, target, opts, &err), TT_OK);
    if (!strstr(err.msg, why))
        fail_msg("expected '%s' in: %s", why, err.msg);
    assert_string_equal(names_in(f), before);
}

static void damage(const char *path, off_t offset)
{
    const int fd = open(path, O_RDWR);
    uint8_t byte = 0;
    assert_true(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
    byte ^= 1;
    assert_true(pwrite(fd, &byte, 1, offset) == 1);
    close(fd);
}

static void damage_big(const struct fixture *f)
{
    char path[128];
    const struct tt_chunk *chunk = tt_entries_find(&f->src->entries, "big.weight")->chunks;
    snprintf(path, sizeof path, "%s/__0_0.distcp", f->in);
    damage(path, (off_t)(chunk->offset + chunk->nbytes / 2));
}

/* The tensors of the fixture, without the value. */
static void add_tensors(struct tt_recipe *recipe, struct fixture *f)
{
    assert_ok(tt_recipe_add_entry(recipe, f->src, tt_entries_find(&f->src->entries, "big.weight"), &e_));
    assert_ok(tt_recipe_add_entry(recipe, f->src, tt_entries_find(&f->src->entries, "small"), &e_));
}

/* --- formats ---------------------------------------------------------------------------------------------------------------- */

static void test_a_checkpoint_becomes_a_pt_with_any_number_of_threads(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_PT, .path = f->out };

    for (int threads = 1; threads <= 3; threads++) {
        const struct tt_write_opts opts = { .threads = threads, .force = threads > 1 };
        assert_ok(tt_ckpt_write(f->src, &target, &opts, &e_));
        assert_reads_back(f, f->out, true);
        assert_string_equal(names_in(f), "in out ");
    }
}

static void test_tensors_become_safetensors_and_values_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_SAFETENSORS, .path = f->out };
    struct tt_recipe recipe = { 0 };

    assert_refused(f, &target, NULL, "key train_state.step: safetensors holds tensors alone");
    add_tensors(&recipe, f);
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    tt_recipe_release(&recipe);
    assert_reads_back(f, f->out, false);
}

static void test_safetensors_begin_at_multiples_of_their_elements(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_SAFETENSORS, .path = f->out };
    struct tt_recipe recipe = { 0 };
    struct tt_ckpt *ckpt = NULL;

    add_tensors(&recipe, f);
    recipe.items[0].output.dtype = TT_BF16; /* an odd number of them, listed before floats */
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    tt_recipe_release(&recipe);
    assert_ok(tt_ckpt_open(&ckpt, f->out, &e_));
    const struct tt_chunk *big = tt_entries_find(&ckpt->entries, "big.weight")->chunks;
    const struct tt_chunk *small = tt_entries_find(&ckpt->entries, "small")->chunks;
    assert_int_equal(small->offset % 8, 0);
    assert_int_equal(big->offset, small->offset + sizeof f->small);
    tt_ckpt_close(ckpt);
}

static void test_a_hugging_face_folder_has_its_files_and_extras(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = { "a.safetensors", "b.safetensors" };
    const struct tt_extra extras[] = {
        { .name = "config.json", .bytes = "{}\n", .nbytes = 3 },
        { .name = "model.safetensors.index.json", .copy_of = NULL,
          .bytes = "{\"weight_map\": {\"big.weight\": \"a.safetensors\", \"small\": \"b.safetensors\"}}", .nbytes = 73 },
    };
    const struct tt_placed placed[] = { { .file = 0 }, { .file = 1 } };
    const struct tt_target target = { .format = TT_CKPT_HF, .path = f->out, .files = files, .nfiles = 2, .extras = extras, .nextras = 2 };
    struct tt_recipe recipe = { 0 };
    char path[128];

    add_tensors(&recipe, f);
    for (int i = 0; i < 2; i++) {
        recipe.items[i].placed = &placed[i];
        recipe.items[i].nplaced = 1;
    }
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    tt_recipe_release(&recipe);
    assert_reads_back(f, f->out, false);
    snprintf(path, sizeof path, "%s/config.json", f->out);
    assert_true(tt_path_exists(path));
}

static void test_chunks_lie_in_the_files_that_they_are_placed_in(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = { "__0_0.distcp", "__1_0.distcp", "__2_0.distcp", "__3_0.distcp" };
    static const int64_t at[3][2] = { { 0, 0 }, { 100, 0 }, { 100, 200 } }, sizes[3][2] = { { 100, COLS }, { 200, 200 }, { 200, 57 } };
    const struct tt_placed placed[] = { { at[0], sizes[0], 2 }, { at[1], sizes[1], 0 }, { at[2], sizes[2], 1 } }, one = { .file = 1 };
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out, .files = files, .nfiles = 4 };
    struct tt_recipe recipe = { 0 };
    struct tt_ckpt *ckpt = NULL;
    char path[128];
    struct stat st;

    for (size_t i = 0; i < f->src->entries.n; i++)
        assert_ok(tt_recipe_add_entry(&recipe, f->src, &f->src->entries.items[i], &e_));
    for (size_t i = 0; i < recipe.n; i++) {
        const bool is_big = strcmp(recipe.items[i].fqn, "big.weight") == 0;
        recipe.items[i].placed = is_big ? placed : &one;
        recipe.items[i].nplaced = is_big ? 3 : 1;
    }
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    tt_recipe_release(&recipe);
    assert_reads_back(f, f->out, true);
    assert_ok(tt_ckpt_open(&ckpt, f->out, &e_));
    const struct tt_entry *big = tt_entries_find(&ckpt->entries, "big.weight");
    assert_int_equal(big->nchunks, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_memory_equal(big->chunks[i].offsets, at[i], sizeof at[i]);
        assert_string_equal(ckpt->entries.files[big->chunks[i].file], files[placed[i].file]);
    }
    tt_ckpt_close(ckpt);
    snprintf(path, sizeof path, "%s/__3_0.distcp", f->out); /* a rank without items has an empty file */
    assert_true(stat(path, &st) == 0 && st.st_size == 0);
}

static void test_a_cast_output_has_the_other_dtype(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
    struct tt_recipe recipe = { 0 };
    struct tt_ckpt *ckpt = NULL;

    add_tensors(&recipe, f);
    recipe.items[0].output.dtype = TT_BF16;
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    tt_recipe_release(&recipe);
    assert_ok(tt_ckpt_open(&ckpt, f->out, &e_));
    assert_int_equal(tt_entries_find(&ckpt->entries, "big.weight")->dtype, TT_BF16);
    tt_ckpt_close(ckpt);
}

static void read_file(const char *folder, const char *name, struct tt_buf *out)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(tt_file_read_all(out, path, 1 << 24, &e_));
}

static void test_compressed_items_are_frames_of_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = { "__0_0.distcp", "__1_0.distcp", "__2_0.distcp" };
    const struct tt_placed last = { .file = 1 };
    char packed[128];
    struct tt_recipe recipe = { 0 };
    struct tt_buf plain = { 0 }, frames = { 0 };

    snprintf(packed, sizeof packed, "%s/packed", f->dir);
    for (size_t i = 0; i < f->src->entries.n; i++)
        assert_ok(tt_recipe_add_entry(&recipe, f->src, &f->src->entries.items[i], &e_));
    tt_recipe_find(&recipe, "small")->placed = &last;
    tt_recipe_find(&recipe, "small")->nplaced = 1;
    for (int level = 0; level <= 3; level += 3) {
        const struct tt_target target = { .format = TT_CKPT_DCP, .path = level ? packed : f->out, .files = files, .nfiles = 3,
                                          .zstd_level = level };
        assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    }
    tt_recipe_release(&recipe);
    for (int i = 0; i < 3; i++) {
        read_file(f->out, files[i], &plain);
        read_file(packed, files[i], &frames);
        assert_true(i < 2 ? frames.len > 0 && frames.len < plain.len : frames.len == 0);
        uint8_t *got = malloc(plain.len + 1);
        assert_int_equal(ZSTD_decompress(got, plain.len + 1, frames.data, frames.len), plain.len);
        assert_memory_equal(got, plain.data ? plain.data : got, plain.len);
        free(got);
        tt_buf_release(&plain);
        tt_buf_release(&frames);
    }
    read_file(packed, ".metadata", &frames);
    assert_non_null(memmem(frames.data, frames.len, "stream.zstd/1", 13));
    tt_buf_release(&frames);
}

/* --- damage ----------------------------------------------------------------------------------------------------------------- */

static void test_damage_that_nobody_looked_at_is_still_seen(void **state)
{
    struct fixture *f = *state;
    static float big[NUMEL];
    const struct tt_target target = { .format = TT_CKPT_PT, .path = f->out };
    const struct tt_want want = { .fqn = "big.weight", .dtype = TT_F32, .ndim = 2, .shape = big_shape, .dst = big };
    const struct tt_write_opts blind = { .no_verify = true, .force = true };
    struct tt_ckpt *ckpt = NULL;
    struct tt_err err = { 0 };

    damage_big(f);
    if (tt_ckpt_write(f->src, &target, NULL, &err) != TT_OK) /* where the kernel does not copy, the bytes were looked at */
        assert_non_null(strstr(err.msg, "key big.weight: expected CRC-32"));
    assert_ok(tt_ckpt_write(f->src, &target, &blind, &e_));
    assert_ok(tt_ckpt_open(&ckpt, f->out, &e_));
    assert_int_equal(tt_ckpt_load(ckpt, &want, 1, NULL, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "key big.weight: expected CRC-32"));
    tt_ckpt_close(ckpt);
}

static void test_damage_is_an_error_where_the_output_has_no_checksums(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_SAFETENSORS, .path = f->out };
    const struct tt_write_opts blind = { .no_verify = true };
    struct tt_recipe recipe = { 0 };
    struct tt_err err = { 0 };

    damage_big(f);
    add_tensors(&recipe, f);
    assert_int_equal(tt_recipe_write(&recipe, &target, NULL, NULL, &err), TT_EFORMAT);
    assert_non_null(strstr(err.msg, "__0_0.distcp"));
    assert_non_null(strstr(err.msg, "key big.weight: expected CRC-32"));
    assert_string_equal(names_in(f), "in ");
    assert_ok(tt_recipe_write(&recipe, &target, &blind, NULL, &e_));
    tt_recipe_release(&recipe);
}

static void test_a_shorter_input_is_found_before_the_first_byte(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_PT, .path = f->out };
    char path[128];
    struct stat st;

    snprintf(path, sizeof path, "%s/__0_0.distcp", f->in);
    assert_true(stat(path, &st) == 0 && truncate(path, st.st_size - 1) == 0);
    assert_refused(f, &target, NULL, "found the end of the file at");
    assert_refused(f, &target, &(struct tt_write_opts){ .dry_run = true }, "found the end of the file at");
}

/* --- what is there already ---------------------------------------------------------------------------------------------------- */

static void test_a_checkpoint_is_replaced_by_force_alone(void **state)
{
    struct fixture *f = *state;
    const struct tt_target folder = { .format = TT_CKPT_DCP, .path = f->out };
    const struct tt_write_opts force = { .force = true };

    assert_int_equal(mkdir(f->out, 0755), 0);
    assert_ok(tt_ckpt_write(f->src, &folder, NULL, &e_)); /* an empty folder is as good as none */
    assert_refused(f, &folder, NULL, "is there already; --force replaces it");
    assert_ok(tt_ckpt_write(f->src, &folder, &force, &e_));
    assert_reads_back(f, f->out, true);
    assert_string_equal(names_in(f), "in out ");
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_PT, .path = f->out }, &force, "is a folder");
}

static void test_what_is_no_checkpoint_is_never_replaced(void **state)
{
    struct fixture *f = *state;
    const struct tt_write_opts force = { .force = true };
    char path[128];

    assert_ok(tt_file_write_all(f->out, "precious", 8, &e_));
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_PT, .path = f->out }, &force, "is no checkpoint that titan knows");
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->out }, &force, "is no folder");
    snprintf(path, sizeof path, "%s/folder", f->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/folder/precious", f->dir);
    assert_ok(tt_file_write_all(path, "precious", 8, &e_));
    snprintf(path, sizeof path, "%s/folder", f->dir);
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = path }, &force, "is no checkpoint that titan knows");
    snprintf(path, sizeof path, "%s/folder/.metadata", f->dir);
    assert_ok(tt_file_write_all(path, "an Eclipse workspace has one too", 32, &e_));
    snprintf(path, sizeof path, "%s/folder", f->dir);
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = path }, &force, "is no checkpoint that titan knows");
}

static void test_a_checkpoint_with_folders_in_it_is_never_replaced(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_HF, .path = f->out };
    const struct tt_write_opts force = { .force = true };
    struct tt_recipe recipe = { 0 };
    char path[128];

    add_tensors(&recipe, f);
    assert_ok(tt_recipe_write(&recipe, &target, NULL, NULL, &e_));
    assert_ok(tt_recipe_write(&recipe, &target, &force, NULL, &e_));
    snprintf(path, sizeof path, "%s/original", f->out);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->out }, &force, "holds the folder original");
    assert_true(tt_path_is_dir(path));
    tt_recipe_release(&recipe);
}

static void test_a_link_is_no_empty_folder(void **state)
{
    struct fixture *f = *state;
    char path[128];

    snprintf(path, sizeof path, "%s/empty", f->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/link", f->dir);
    assert_int_equal(symlink("empty", path), 0);
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = path }, NULL, "is there already");
    strcat(path, "/");
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = path }, NULL, "is there already");
}

static void test_files_that_come_along_are_looked_at_first(void **state)
{
    struct fixture *f = *state;
    const struct tt_write_opts dry = { .dry_run = true }, force = { .force = true };
    char path[128];
    const struct tt_extra extra = { .name = "tokenizer.json", .copy_of = path };
    struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out, .extras = &extra, .nextras = 1 };

    snprintf(path, sizeof path, "%s/gone.json", f->in);
    assert_refused(f, &target, &dry, "gone.json: cannot open");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(f, &target, &dry, "expected a regular file");
    assert_ok(tt_ckpt_write(f->src, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->out }, NULL, &e_));
    snprintf(path, sizeof path, "%s/tokenizer.json", f->out);
    assert_ok(tt_file_write_all(path, "{}", 2, &e_));
    target.also_read = f->out;
    assert_refused(f, &target, &force, "which is read for it");
}

static void test_a_folder_that_holds_more_than_a_checkpoint_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
    const struct tt_write_opts force = { .force = true };
    char path[128];

    assert_ok(tt_ckpt_write(f->src, &target, NULL, &e_));
    snprintf(path, sizeof path, "%s/thesis.pdf", f->out);
    assert_ok(tt_file_write_all(path, "precious", 8, &e_));
    assert_refused(f, &target, &force, "holds thesis.pdf, which is no part of a checkpoint");
    assert_true(tt_path_exists(path));
    assert_int_equal(unlink(path), 0);
    assert_ok(tt_ckpt_write(f->src, &target, &force, &e_));
}

static void test_input_and_output_are_apart(void **state)
{
    struct fixture *f = *state;
    const struct tt_write_opts force = { .force = true };
    char path[160], link[128];

    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->in }, &force, "is the checkpoint that it is made of");
    snprintf(path, sizeof path, "%s/../in/model.pt", f->in);
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_PT, .path = path }, &force, "lies inside the checkpoint");
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->dir }, &force, "contains");
    snprintf(link, sizeof link, "%s/link", f->dir);
    assert_int_equal(symlink(f->in, link), 0);
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = link }, &force, "is the checkpoint that it is made of");
}

static void test_names_of_files_are_one_component(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = { "", ".", "..", "a/b", "../a", "a\nb", "/a", ".metadata" };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->out, .files = &bad[i], .nfiles = 1 }, NULL,
                       "not a name that a file of a checkpoint may have");
}

/* --- files taken over as they are ---------------------------------------------------------------------------------------------- */

static void test_compressors_keep_to_the_memory(void **state)
{
    struct fixture *f = *state;
    const struct tt_write_opts dry = { .dry_run = true, .threads = 4, .max_memory = 100 << 20 };
    struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
    struct tt_write_stats none, high;
    struct tt_err err = { .msg = "" };
    struct tt_recipe recipe = { 0 };

    add_tensors(&recipe, f);
    assert_ok(tt_recipe_write(&recipe, &target, &dry, &none, &e_));
    target.zstd_level = 19;
    assert_ok(tt_recipe_write(&recipe, &target, &dry, &high, &e_));
    target.zstd_level = 22;
    assert_int_equal(tt_recipe_write(&recipe, &target, &dry, NULL, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "max_memory: expected at least "));
    assert_in_range(high.memory_nbytes - none.memory_nbytes, 10 << 20, 100 << 20);
    tt_recipe_release(&recipe);
}

static void test_hard_links_need_no_room(void **state)
{
    struct fixture *f = *state;
    const struct tt_write_opts dry = { .dry_run = true, .allow_expand = true };
    struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
    struct statvfs fs;
    char path[128];

    snprintf(path, sizeof path, "%s/__0_0.distcp", f->in);
    if (statvfs(f->dir, &fs) != 0 || truncate(path, (off_t)((uint64_t)fs.f_bavail * fs.f_frsize + (1 << 30))) != 0)
        skip(); /* a file system without holes */
    assert_refused(f, &target, &dry, "free");
    target.link = true;
    assert_ok(tt_ckpt_write(f->src, &target, &dry, &e_));
}

static void test_an_unchanged_file_is_taken_over_byte_for_byte_or_linked(void **state)
{
    struct fixture *f = *state;
    char from[128], to[128];
    struct stat a, b;

    snprintf(from, sizeof from, "%s/__0_0.distcp", f->in);
    snprintf(to, sizeof to, "%s/__0_0.distcp", f->out);
    for (int link = 0; link < 2; link++) {
        const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out, .link = link };
        struct tt_recipe recipe = { 0 };
        for (size_t i = 0; i < f->src->entries.n; i++)
            assert_ok(tt_recipe_add_entry(&recipe, f->src, &f->src->entries.items[i], &e_));
        recipe.items[0].requires_grad = true; /* .metadata is made anew */
        assert_ok(tt_recipe_write(&recipe, &target, &(struct tt_write_opts){ .force = true }, NULL, &e_));
        tt_recipe_release(&recipe);
        assert_reads_back(f, f->out, true);
        assert_true(stat(from, &a) == 0 && stat(to, &b) == 0);
        assert_int_equal(a.st_size, b.st_size);
        assert_int_equal(a.st_ino == b.st_ino, link);
    }
}

/* --- plans and ends ------------------------------------------------------------------------------------------------------------ */

static void test_a_dry_run_tells_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct tt_target target = { .format = TT_CKPT_DCP, .path = f->out };
    struct tt_write_stats dry = { 0 }, wet = { 0 };
    struct tt_recipe recipe = { 0 };
    char path[128];
    struct stat st;

    add_tensors(&recipe, f);
    assert_ok(tt_recipe_write(&recipe, &target, &(struct tt_write_opts){ .dry_run = true }, &dry, &e_));
    assert_string_equal(names_in(f), "in ");
    assert_ok(tt_recipe_write(&recipe, &target, NULL, &wet, &e_));
    tt_recipe_release(&recipe);
    snprintf(path, sizeof path, "%s/__0_0.distcp", f->out);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(dry.written_nbytes, st.st_size);
    assert_int_equal(wet.written_nbytes, st.st_size);
    assert_int_equal(dry.ntensors, 2);
    assert_true(dry.read_nbytes > NUMEL * 4 && dry.memory_nbytes > 0 && dry.free_nbytes > 0);
}

static void test_an_expansion_beyond_reason_is_refused(void **state)
{
    struct fixture *f = *state;
    static const int64_t shape[] = { 4000, 4000 };
    const struct tt_output zeros = { .fqn = "zeros", .dtype = TT_F32, .ndim = 2, .shape = shape, .parts = &(struct tt_part){ .src = NULL },
                                     .nparts = 1 };
    const struct tt_recipe_item item = { .fqn = "zeros", .kind = TT_ENTRY_TENSOR, .output = zeros };
    const struct tt_target target = { .format = TT_CKPT_SAFETENSORS, .path = f->out };
    struct tt_recipe recipe = { 0 };
    struct tt_err err = { 0 };

    assert_ok(tt_recipe_add_entry(&recipe, f->src, tt_entries_find(&f->src->entries, "small"), &e_));
    assert_ok(tt_recipe_add(&recipe, &item, &e_));
    assert_int_equal(tt_recipe_write(&recipe, &target, &(struct tt_write_opts){ .dry_run = true }, NULL, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "need --allow_expand"));
    assert_ok(tt_recipe_write(&recipe, &target, &(struct tt_write_opts){ .dry_run = true, .allow_expand = true }, NULL, &e_));
    tt_recipe_release(&recipe);
}

static void test_a_signal_ends_the_run_and_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    const volatile sig_atomic_t stop = 15;
    const struct tt_write_opts opts = { .stop = &stop };

    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_PT, .path = f->out }, &opts, "ended by signal 15");
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_DCP, .path = f->out }, &opts, "ended by signal 15");
}

static void test_too_little_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct tt_write_opts opts = { .max_memory = 1000 };
    assert_refused(f, &(struct tt_target){ .format = TT_CKPT_PT, .path = f->out }, &opts, "max_memory: expected at least");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_checkpoint_becomes_a_pt_with_any_number_of_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tensors_become_safetensors_and_values_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_safetensors_begin_at_multiples_of_their_elements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hugging_face_folder_has_its_files_and_extras, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chunks_lie_in_the_files_that_they_are_placed_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_cast_output_has_the_other_dtype, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressed_items_are_frames_of_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_that_nobody_looked_at_is_still_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_an_error_where_the_output_has_no_checksums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_shorter_input_is_found_before_the_first_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_checkpoint_is_replaced_by_force_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_checkpoint_is_never_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_checkpoint_with_folders_in_it_is_never_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_is_no_empty_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_that_come_along_are_looked_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_that_holds_more_than_a_checkpoint_is_not_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_input_and_output_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_of_files_are_one_component, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_unchanged_file_is_taken_over_byte_for_byte_or_linked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_links_need_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressors_keep_to_the_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_dry_run_tells_and_writes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_expansion_beyond_reason_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_signal_ends_the_run_and_nothing_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_little_memory_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A .pt file through everything: catalogue, values, copy engine, back to a .pt. Property: no crash; what converts gives a file that
 * converts to the same bytes.
 * corpus: tests/golden/pt */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ckpt/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tt_status convert(const char *from, const char *to)
{
    struct tt_ckpt *ckpt = NULL;
    tt_status st = tt_ckpt_open(&ckpt, from, NULL);
    if (st == TT_OK)
        st = tt_ckpt_write(ckpt, &(struct tt_target){ .format = TT_CKPT_PT, .path = to },
                                               &(struct tt_write_opts){ .force = true }, NULL);
    tt_ckpt_close(ckpt);
    return st;
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || tt_write_full(fd, data, size, path, NULL) != TT_OK)
        abort();
    close(fd);
}

/* The name inside the zip comes from the file's, so both outputs have the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/tmp/titan-fuzz-XXXXXX", in[64], out[64];
    struct tt_buf a = { 0 }, b = { 0 };

    if (!mkdtemp(dir))
        abort();
    snprintf(in, sizeof in, "%s/in.pt", dir);
    snprintf(out, sizeof out, "%s/out.pt", dir);
    put(in, data, size);
    if (size < 1 << 20 && convert(in, out) == TT_OK) {
        if (tt_file_read_all(&a, out, 64 << 20, NULL) != TT_OK || rename(out, in) != 0 || convert(in, out) != TT_OK ||
            tt_file_read_all(&b, out, 64 << 20, NULL) != TT_OK || a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
            abort();
    }
    tt_buf_release(&a);
    tt_buf_release(&b);
    if (tt_remove_all(dir, NULL) != TT_OK)
        abort();
    return 0;
}

/* A checkpoint that comes through a pipe. Property: no crash; each chunk of what is listed lies inside the stream.
 * corpus: tests/golden/pt tests/golden/hf/small.safetensors tests/golden/dialects/torch-2.13/.metadata */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ckpt/pipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tt_ckpt *ckpt = NULL;
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0 || tt_write_full(fd, data, size, "memfd", NULL) != TT_OK || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    if (tt_ckpt_open_pipe(&ckpt, fd, "fuzz", NULL) == TT_OK && ckpt->format != TT_CKPT_DCP)
        for (size_t i = 0; i < ckpt->entries.n; i++)
            for (uint32_t c = 0; c < ckpt->entries.items[i].nchunks; c++) {
                const struct tt_chunk *chunk = &ckpt->entries.items[i].chunks[c];
                if (chunk->offset > size || chunk->nbytes > size - chunk->offset)
                    abort();
            }
    tt_ckpt_close(ckpt);
    close(fd);
    return 0;
}

/* cast TO FROM < elements > elements: torch's names of dtypes; for tests/interop/ckpt_vs_torch.py. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "tensor/cast.h"

int main(int argc, char **argv)
{
    enum tt_dtype to, from;
    struct tt_buf in = { 0 }, out = { 0 };

    if (argc != 3 || !tt_dtype_from_torch(argv[1], &to) || !tt_dtype_from_torch(argv[2], &from) || !tt_cast_supported(to, from))
        return 2;
    if (tt_file_read_all(&in, "-", 1 << 28, NULL) != TT_OK)
        return 1;
    const size_t n = in.len / tt_dtype_nbytes(from);
    uint8_t *p = tt_buf_reserve(&out, n * tt_dtype_nbytes(to));
    if (!p)
        return 1;
    tt_cast(p, to, in.data, from, n);
    const int failed = fwrite(p, tt_dtype_nbytes(to), n, stdout) != n || fflush(stdout) != 0;
    tt_buf_release(&in);
    tt_buf_release(&out);
    return failed;
}

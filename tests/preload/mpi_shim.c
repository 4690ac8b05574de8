/* For LD_PRELOAD into a rank under MPI: spoils the TITAN_SHIM_MESSAGE-th of the messages of at least 1 KiB that it sends. TITAN_SHIM=flip
 * turns a bit of it over; with drop neither it nor any later one to the same rank and group arrives, though all look sent. */
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int MPI_Isend(const void *buf, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
    static long sent; /* one thread of a rank calls MPI */
    static int lost_to = -1, lost_tag;
    const char *what = getenv("TITAN_SHIM"), *which = getenv("TITAN_SHIM_MESSAGE");
    const bool is_it = what && which && type == MPI_BYTE && count >= 1024 && ++sent == atol(which);

    if (is_it && strcmp(what, "drop") == 0) {
        lost_to = to;
        lost_tag = tag;
    }
    if (to == lost_to && tag == lost_tag)
        return PMPI_Isend(buf, count, type, MPI_PROC_NULL, tag, comm, request);
    char *copy = is_it ? malloc((size_t)count) : NULL; /* until the process ends: MPI is not asked when it has gone */
    if (copy && strcmp(what, "flip") == 0) {
        memcpy(copy, buf, (size_t)count);
        copy[(count / 2 & ~3) + 2] ^= 0x40; /* of a float32's mantissa */
        buf = copy;
    }
    return PMPI_Isend(buf, count, type, to, tag, comm, request);
}

#define _GNU_SOURCE
/* For LD_PRELOAD: every fsync takes $TITAN_FSYNC_S seconds (2). */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fsync(int fd)
{
    typedef int fn(int);
    fn *next = (fn *)dlsym(RTLD_NEXT, "fsync");
    const char *seconds = getenv("TITAN_FSYNC_S");
    sleep(seconds ? (unsigned)atoi(seconds) : 2);
    return next(fd);
}

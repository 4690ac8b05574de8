#define _GNU_SOURCE
/* For LD_PRELOAD: every fsync takes 2 s. */
#include <dlfcn.h>
#include <unistd.h>

int fsync(int fd)
{
    typedef int fn(int);
    fn *next = (fn *)dlsym(RTLD_NEXT, "fsync");
    sleep(2);
    return next(fd);
}

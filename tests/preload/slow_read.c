#define _GNU_SOURCE
/* For LD_PRELOAD: a read of a file whose name ends in $TITAN_SLOW_READ takes $TITAN_SLOW_READ_MS milliseconds more. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(type, name) \
    static type name##_; \
    if (!name##_)        \
    name##_ = (type)dlsym(RTLD_NEXT, #name)

static void hold(int fd)
{
    const char *end = getenv("TITAN_SLOW_READ"), *ms = getenv("TITAN_SLOW_READ_MS");
    char name[32], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    const ssize_t len = end && ms ? readlink(name, path, sizeof path) : 0;
    const size_t n = end ? strlen(end) : 0;
    if (len > 0 && (size_t)len >= n && memcmp(path + (size_t)len - n, end, n) == 0)
        usleep(1000 * (useconds_t)atoi(ms));
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    typedef ssize_t fn(int, void *, size_t, off_t);
    NEXT(fn *, pread);
    hold(fd);
    return pread_(fd, to, n, at);
}

ssize_t preadv2(int fd, const struct iovec *to, int n, off_t at, int flags)
{
    typedef ssize_t fn(int, const struct iovec *, int, off_t, int);
    NEXT(fn *, preadv2);
    hold(fd);
    return preadv2_(fd, to, n, at, flags);
}

ssize_t read(int fd, void *to, size_t n)
{
    typedef ssize_t fn(int, void *, size_t);
    NEXT(fn *, read);
    hold(fd);
    return read_(fd, to, n);
}

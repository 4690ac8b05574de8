#define _GNU_SOURCE
/* For LD_PRELOAD: makes each phase of a conversion last some tenths of a second, and says in the file $TITAN_PHASE which one it is in,
 * so that a kill at a random time falls into any of them: p plan, c copy, f fsync, r rename, d done. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char ignored, *phase = &ignored;

/* How often, and for how many microseconds at a time, a phase is held up. */
static struct {
    int left;
    useconds_t us;
} plan = { 2, 180000 }, copy = { 6, 60000 }, sync_ = { 3, 100000 }, naming = { 2, 150000 };

#define HOLD(what) ((what).left > 0 ? (void)((what).left--, usleep((what).us)) : (void)0)
#define NEXT(type, name) static type name##_;                                                                                        \
    if (!name##_)                                                                                                                    \
        name##_ = (type)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("TITAN_PHASE");
    const int fd = path ? open(path, O_RDWR) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED)
            phase = map;
    }
    if (fd >= 0)
        close(fd);
    *phase = 'p';
}

__attribute__((destructor)) static void end(void) { *phase = 'd'; }

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    typedef ssize_t fn(int, void *, size_t, off_t);
    NEXT(fn *, pread);
    if (*phase == 'p')
        HOLD(plan);
    return pread_(fd, to, n, at);
}

ssize_t read(int fd, void *to, size_t n)
{
    typedef ssize_t fn(int, void *, size_t);
    NEXT(fn *, read);
    if (*phase == 'p')
        HOLD(plan);
    return read_(fd, to, n);
}

/* The first thing that is made begins the copy. */
int open(const char *path, int flags, ...)
{
    typedef int fn(const char *, int, ...);
    va_list ap;
    NEXT(fn *, open);
    va_start(ap, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (flags & O_CREAT && strstr(path, ".titan-"))
        *phase = 'c';
    return open_(path, flags, mode);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    typedef ssize_t fn(int, const void *, size_t, off_t);
    NEXT(fn *, pwrite);
    HOLD(copy);
    return pwrite_(fd, from, n, at);
}

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned flags)
{
    typedef ssize_t fn(int, off_t *, int, off_t *, size_t, unsigned);
    NEXT(fn *, copy_file_range);
    HOLD(copy);
    return copy_file_range_(from, from_at, to, to_at, n, flags);
}

int fsync(int fd)
{
    typedef int fn(int);
    NEXT(fn *, fsync);
    *phase = 'f';
    HOLD(sync_);
    return fsync_(fd);
}

static void before_rename(const char *to)
{
    if (strstr(to, ".titan-"))
        return; /* .metadata within the folder: still the copy */
    *phase = 'r';
    HOLD(naming);
}

int rename(const char *from, const char *to)
{
    typedef int fn(const char *, const char *);
    NEXT(fn *, rename);
    before_rename(to);
    const int rc = rename_(from, to);
    if (*phase == 'r')
        HOLD(naming);
    return rc;
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    typedef int fn(int, const char *, int, const char *, unsigned);
    NEXT(fn *, renameat2);
    before_rename(to);
    const int rc = renameat2_(from_fd, from, to_fd, to, flags);
    if (*phase == 'r')
        HOLD(naming);
    return rc;
}

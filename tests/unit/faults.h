/* tests/unit/faults.h: the calls of a save or a conversion that can fail or be the last of a process, in place of the C library's: the
 * one that is asked for goes wrong, in a child process that sets which and how. For one test program's main file each. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    bool armed, is_kill, is_full; /* is_full: from that call on every one that needs room fails, as on a full disk */
    int at, calls;                /* the call that goes wrong, from 1; how many there were */
    int error, writes;
    int shrink; /* from this read on, from 1, every one finds the end of the file; 0: none does */
    bool no_flags; /* renameat2 takes no flags, as on many a network file system */
    int hold;      /* while it is set, pwrite waits, in whichever thread */
} fault;

enum { NEEDS_ROOM = 1 };

/* Whether this call goes wrong. */
static bool strikes(int needs_room)
{
    if (!fault.armed)
        return false;
    const int n = ++fault.calls;
    if (fault.is_kill && n == fault.at)
        syscall(SYS_kill, getpid(), SIGKILL);
    const bool now = !fault.is_kill && (fault.is_full ? needs_room && n >= fault.at : n == fault.at);
    if (now)
        errno = fault.error;
    return now;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    __atomic_fetch_add(&fault.writes, 1, __ATOMIC_RELAXED); /* from any thread */
    while (__atomic_load_n(&fault.hold, __ATOMIC_ACQUIRE))
        usleep(1000);
    if (!strikes(NEEDS_ROOM))
        return syscall(SYS_pwrite64, fd, bytes, n, at);
    if (n > 1 && fault.is_full && fault.calls == fault.at) /* the last room there is */
        return syscall(SYS_pwrite64, fd, bytes, n / 2, at);
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t n) { return strikes(NEEDS_ROOM) ? -1 : syscall(SYS_write, fd, bytes, n); }
int mkdir(const char *path, mode_t mode) { return strikes(NEEDS_ROOM) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }
int fsync(int fd) { return strikes(NEEDS_ROOM) ? -1 : (int)syscall(SYS_fsync, fd); }

int close(int fd)
{
    const int rc = (int)syscall(SYS_close, fd);
    return strikes(0) ? -1 : rc;
}

int rename(const char *from, const char *to)
{
    return strikes(0) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    if (flags && fault.no_flags) {
        errno = EINVAL;
        return -1;
    }
    return strikes(0) ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

/* Whether the file that is read has shrunk by now. */
static bool shrank(void)
{
    static int reads;
    return fault.armed && fault.shrink && __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED) >= fault.shrink;
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at) { return shrank() ? 0 : syscall(SYS_pread64, fd, bytes, n, at); }

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t n, unsigned flags)
{
    if (shrank())
        return 0;
    return strikes(NEEDS_ROOM) ? -1 : syscall(SYS_copy_file_range, from, from_at, to, to_at, n, flags);
}

int link(const char *from, const char *to) { return strikes(NEEDS_ROOM) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return strikes(NEEDS_ROOM) ? -1 : (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int mkdirat(int fd, const char *path, mode_t mode) { return strikes(NEEDS_ROOM) ? -1 : (int)syscall(SYS_mkdirat, fd, path, mode); }
int fchmod(int fd, mode_t mode) { return strikes(0) ? -1 : (int)syscall(SYS_fchmod, fd, mode); }
int fallocate(int fd, int mode, off_t at, off_t n) { return strikes(NEEDS_ROOM) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, n); }

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return strikes(flags & O_CREAT ? NEEDS_ROOM : 0) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#endif

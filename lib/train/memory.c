#include "train/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The start of a small file of the kernel's, as a string; "" where it cannot be read. */
static void read_small(const char *path, char *text, size_t nbytes)
{
    ssize_t n = -1;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, nbytes - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
}

uint64_t tt_memory_total(void)
{
    static const char *const limits[] = { "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes" };
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        char text[64];
        read_small(limits[i], text, sizeof text);
        const uint64_t limit = strtoull(text, NULL, 10); /* "max" and "" are 0: no limit */
        if (limit > 0 && limit < total)
            total = limit;
    }
    return total;
}

uint64_t tt_memory_peak(void)
{
    char status[4096];
    read_small("/proc/self/status", status, sizeof status);
    const char *line = strstr(status, "\nVmHWM:");
    return line ? strtoull(line + strlen("\nVmHWM:"), NULL, 10) * 1024 : 0;
}

void tt_memory_reset_peak(void)
{
    const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Refused in some containers: the peak is then that since the start, as the header says. */
    const ssize_t ignored = write(fd, "5", 1);
    (void)ignored;
    close(fd);
}

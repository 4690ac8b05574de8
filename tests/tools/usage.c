/* usage FILE COMMAND...: runs the command and appends a line to FILE, in one write: RANK PEAK USER SYSTEM: the rank in an mpirun (0
 * without), its peak resident memory in MiB, its seconds of CPU. The exit status is the command's. A program may set its own peak back (as
 * titan-train does for its log), so it is looked at every few milliseconds. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct timespec PAUSE = { 0, 5000000 };

/* KiB; 0 where the process has none any more. */
static long peak_of(pid_t pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    const int fd = open(path, O_RDONLY);
    const ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *line = strstr(text, "\nVmHWM:");
    return line ? strtol(line + strlen("\nVmHWM:"), NULL, 10) : 0;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

int main(int argc, char **argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    struct rusage used;
    long peak = 0;
    char line[128];
    int status;

    if (argc < 3)
        return 2;
    const pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    while (pid > 0 && wait4(pid, &status, WNOHANG, &used) == 0) {
        const long now = peak_of(pid);
        peak = now > peak ? now : peak;
        nanosleep(&PAUSE, NULL);
    }
    const int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (pid < 0 || fd < 0)
        return 1;
    peak = used.ru_maxrss > peak ? used.ru_maxrss : peak;
    const int n = snprintf(line, sizeof line, "%s %ld %.2f %.2f\n", rank ? rank : "0", peak / 1024, seconds(used.ru_utime),
                           seconds(used.ru_stime));
    if (write(fd, line, (size_t)n) != n)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define _GNU_SOURCE
/* kill_in_phase SLOW.so PHASE_FILE PHASE DELAY_MS SIGNAL COMMAND...: runs the command held up by SLOW.so (tests/preload/slow.c), waits until
 * it is in that phase (p, c, f or r) and DELAY_MS longer, sends the signal (a number), and prints the phase in which it died of it (d: it
 * was done before). */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static const char order[] = "-pcfrd";
    if (argc < 7)
        return 2;
    const int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || ftruncate(fd, 1) != 0)
        return 2;
    volatile char *phase = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (phase == MAP_FAILED)
        return 2;
    *phase = '-';
    const pid_t pid = fork();
    if (pid == 0) {
        setenv("TITAN_PHASE", argv[2], 1);
        setenv("LD_PRELOAD", argv[1], 1);
        execv(argv[6], argv + 6);
        _exit(127);
    }
    int rank[256] = { 0 };
    for (int i = 0; order[i]; i++)
        rank[(unsigned char)order[i]] = i;
    int status = 0, over = 0;
    char at = 'd';
    while (!over && rank[(unsigned char)*phase] < rank[(unsigned char)*argv[3]]) {
        usleep(500);
        over = waitpid(pid, &status, WNOHANG) == pid;
    }
    if (!over) {
        usleep((useconds_t)(atof(argv[4]) * 1000));
        at = *phase;
        kill(pid, atoi(argv[5]));
        waitpid(pid, &status, 0);
    }
    printf("%c\n", WIFSIGNALED(status) ? at : 'd');
    return 0;
}

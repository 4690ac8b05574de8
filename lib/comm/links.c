#define _DEFAULT_SOURCE
#include "comm/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

enum { ADDRESSES = 8, HEAD = 5 }; /* HEAD: of a message: its length (u32) and its kind */

/* How a rank can be reached. */
struct contact {
    char host[64];
    uint16_t port;
    uint32_t naddr, addr[ADDRESSES]; /* in network order */
};

/* What a rank says first to the one that it connects to. */
struct hello {
    uint64_t token; /* the run's: rank 0's */
    uint64_t rank;
};

/* --- sockets ------------------------------------------------------------------------------------------------------------------ */

static struct sockaddr_in address(uint32_t addr, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr };
}

static tt_status listen_anywhere(int *fd, uint16_t *port, int backlog, struct tt_err *err)
{
    struct sockaddr_in own = address(INADDR_ANY, 0);
    socklen_t n = sizeof own;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&own, n) != 0 || listen(*fd, backlog) != 0 ||
        getsockname(*fd, (struct sockaddr *)&own, &n) != 0)
        return tt_err_errno(err, errno, "cannot listen for the watchdogs of the other ranks");
    *port = ntohs(own.sin_port);
    return TT_OK;
}

static void find_addresses(struct contact *own)
{
    struct ifaddrs *all = NULL;

    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i && own->naddr < ADDRESSES; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK))
            own->addr[own->naddr++] = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr.s_addr;
    freeifaddrs(all);
}

static bool ready(int fd, short what, double until)
{
    struct pollfd p = { .fd = fd, .events = what };
    for (;;) {
        const double left = until - tt_seconds();
        const int n = poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (n != 0 && !(n < 0 && errno == EINTR))
            return n > 0;
        if (n == 0)
            return false;
    }
}

/* -1 with errno where nobody answers until then. The socket does not block. */
static int connect_to(uint32_t addr, uint16_t port, double until)
{
    const struct sockaddr_in peer = address(addr, port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = fd < 0 ? errno : 0;
    socklen_t n = sizeof error;

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&peer, sizeof peer) != 0)
        error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (ready(fd, POLLOUT, until))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    }
    if (error == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

static bool read_all(int fd, void *dst, size_t nbytes, double until)
{
    for (size_t have = 0; have < nbytes;) {
        const ssize_t n = ready(fd, POLLIN, until) ? recv(fd, (char *)dst + have, nbytes - have, 0) : 0;
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

/* --- opening ------------------------------------------------------------------------------------------------------------------ */

/* To each lower rank. Who listens need not have accepted for that. */
static tt_status connect_lower(struct tt_links *links, const struct contact *contact, uint64_t token, double until,
                               struct tt_err *err)
{
    const int me = links->world->rank;
    const struct hello hello = { token, (uint64_t)me };

    for (int r = 0; r < me; r++) {
        const struct contact *c = &contact[r];
        const bool here = strcmp(c->host, contact[me].host) == 0;
        int fd = here ? connect_to(htonl(INADDR_LOOPBACK), c->port, until) : -1;
        for (uint32_t i = 0; fd < 0 && i < c->naddr; i++)
            fd = connect_to(c->addr[i], c->port, tt_seconds() + 5 < until ? tt_seconds() + 5 : until);
        if (fd < 0 || send(fd, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello) {
            const tt_status st =
                tt_err_errno(err, errno, "cannot reach the watchdog of rank %d on %s, port %d", r, c->host, c->port);
            if (fd >= 0)
                close(fd);
            return st;
        }
        links->link[r].fd = fd;
    }
    return TT_OK;
}

static tt_status accept_higher(struct tt_links *links, int listener, uint64_t token, double until, struct tt_err *err)
{
    const int size = links->world->size;

    for (int left = size - 1 - links->world->rank; left > 0;) {
        struct hello hello;
        const int fd = ready(listener, POLLIN, until) ? accept(listener, NULL, NULL) : -1;
        if (fd < 0)
            return tt_err_set(err, TT_EIO, "the watchdogs of %d ranks have not connected", left);
        /* Anybody else may knock here. */
        if (!read_all(fd, &hello, sizeof hello, tt_seconds() + 5 < until ? tt_seconds() + 5 : until) || hello.token != token ||
            hello.rank >= (uint64_t)size || links->link[hello.rank].fd >= 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            close(fd);
            continue;
        }
        links->link[hello.rank].fd = fd;
        left--;
    }
    return TT_OK;
}

static tt_status exchange(struct contact *contact, uint64_t *token, const struct contact *own, struct tt_world *world,
                          struct tt_err *err)
{
    uint64_t mine = 0;
    struct tt_comm *all;
    tt_status st = tt_comm_new(&all, world, NULL, 0, "watchdogs", err);

    if (st != TT_OK)
        return st;
    if (getrandom(&mine, sizeof mine, 0) != (ssize_t)sizeof mine)
        mine = (uint64_t)getpid();
    *token = mine;
    const struct tt_coll gather = { .kind = TT_COLL_ALL_GATHER,
                                    .wire = TT_U8,
                                    .src = own,
                                    .dst = contact,
                                    .count = sizeof *own,
                                    .what = "the addresses of watchdogs" };
    const struct tt_coll tell = {
        .kind = TT_COLL_BROADCAST, .wire = TT_U8, .src = &mine, .dst = token, .count = sizeof *token, .what = "the watchdogs' token"
    };
    st = tt_comm_do(all, &gather, err);
    if (st == TT_OK)
        st = tt_comm_do(all, &tell, err);
    if (st != TT_OK)
        tt_world_abort(world, err);
    tt_comm_free(all);
    return st;
}

tt_status tt_links_open(struct tt_links *links, struct tt_world *world, double timeout_s, struct tt_err *err)
{
    const size_t size = (size_t)world->size;
    const double until = tt_seconds() + timeout_s;
    struct contact *contact = calloc(size, sizeof *contact), own = { 0 };
    uint64_t token = 0;
    int listener = -1;

    *links = (struct tt_links){ .world = world,
                                .link = calloc(size, sizeof *links->link),
                                .polled = calloc(size, sizeof *links->polled) };
    for (size_t r = 0; links->link && r < size; r++)
        links->link[r].fd = -1;
    tt_status st =
        contact && links->link && links->polled ? TT_OK : tt_err_nomem(err, size * sizeof *contact, "the watchdogs' connections");
    if (st == TT_OK)
        st = listen_anywhere(&listener, &own.port, world->size, err);
    if (st == TT_OK) {
        gethostname(own.host, sizeof own.host - 1);
        find_addresses(&own);
        st = exchange(contact, &token, &own, world, err);
    }
    if (st == TT_OK)
        st = connect_lower(links, contact, token, until, err);
    if (st == TT_OK)
        st = accept_higher(links, listener, token, until, err);
    if (listener >= 0)
        close(listener);
    free(contact);
    if (st != TT_OK)
        tt_links_close(links);
    return st;
}

/* What has been sent reaches the other only where nothing is left unread here: the kernel would drop the connection, and that with it. */
static void close_link(struct tt_link *link)
{
    char rest[4096];

    if (link->fd >= 0) {
        shutdown(link->fd, SHUT_WR);
        while (recv(link->fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
            ;
        close(link->fd);
    }
    link->fd = -1;
    tt_buf_release(&link->in);
    tt_buf_release(&link->out);
}

void tt_links_close(struct tt_links *links)
{
    for (int r = 0; links->link && r < links->world->size; r++)
        close_link(&links->link[r]);
    free(links->link);
    free(links->polled);
    links->link = NULL;
    links->polled = NULL;
}

/* --- messages ----------------------------------------------------------------------------------------------------------------- */

static void flush(struct tt_link *link)
{
    const ssize_t n = send(link->fd, link->out.data, link->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) /* a connection that has closed is found when it is read */
        return;
    memmove(link->out.data, link->out.data + n, link->out.len - (size_t)n);
    link->out.len -= (size_t)n;
}

void tt_links_send(struct tt_links *links, int rank, char kind, const void *bytes, size_t nbytes)
{
    struct tt_link *link = &links->link[rank];

    if (link->fd < 0)
        return;
    if (link->out.len > 0)
        flush(link);
    if (link->out.len > 0)
        return;
    tt_buf_le32(&link->out, (uint32_t)nbytes);
    tt_buf_byte(&link->out, (uint8_t)kind);
    tt_buf_put(&link->out, bytes, nbytes);
    if (link->out.failed)
        link->out = (struct tt_buf){ .data = link->out.data, .cap = link->out.cap };
    else
        flush(link);
}

/* Whole messages of what has come; false where it is none of ours. */
static bool take_messages(struct tt_links *links, int rank, tt_link_fn *fn, void *ctx)
{
    struct tt_buf *in = &links->link[rank].in;
    size_t at = 0;

    while (in->len - at >= HEAD) {
        const size_t nbytes = tt_load_le32(in->data + at);
        if (nbytes > TT_LINK_TEXT_MAX)
            return false;
        if (in->len - at - HEAD < nbytes)
            break;
        fn(ctx, rank, (char)in->data[at + 4], in->data + at + HEAD, nbytes);
        at += HEAD + nbytes;
    }
    if (at > 0)
        memmove(in->data, in->data + at, in->len - at);
    in->len -= at;
    return true;
}

static void receive(struct tt_links *links, int rank, tt_link_fn *fn, void *ctx)
{
    struct tt_link *link = &links->link[rank];
    uint8_t *p = tt_buf_reserve(&link->in, 4096);
    const ssize_t n = p ? recv(link->fd, p, 4096, MSG_DONTWAIT) : 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        link->in.len += (size_t)n;
    if (n <= 0 || !take_messages(links, rank, fn, ctx)) {
        close_link(link);
        fn(ctx, rank, 0, NULL, 0);
    }
}

void tt_links_poll(struct tt_links *links, double timeout_s, tt_link_fn *fn, void *ctx)
{
    const int size = links->world->size;
    struct pollfd *p = links->polled;

    for (int r = 0; r < size; r++)
        p[r] = (struct pollfd){ .fd = links->link[r].fd, .events = POLLIN };
    if (poll(p, (nfds_t)size, timeout_s > 0 ? (int)(timeout_s * 1000) + 1 : 0) <= 0)
        return;
    for (int r = 0; r < size; r++)
        if (p[r].revents && links->link[r].fd >= 0)
            receive(links, r, fn, ctx);
}

#include "comm/watchdog.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limit.h"
#include "base/names.h"
#include "base/thread.h"
#include "comm/comm_private.h"
#include "comm/links.h"
#include "comm/trace.h"

/* Messages: HEARTBEAT (the struct below, and a struct seen a communicator), BYE (this rank says nothing any more), FAILED (it has failed,
 * and a text: how), VERDICT (the rank that is to say it, and a text: why this run ends). */
enum { HEARTBEAT = 'H', BYE = 'B', FAILED = 'F', VERDICT = 'V', GROUPS_MAX = 1024, FEWEST_OPERATIONS = 64 };
static const double lower_wait_s = 2;  /* for what lower ranks say that a rank has to say */
static const double gone_wait_s = 0.2; /* for other connections to close, where several ranks have gone at once */
static const double said_wait_s = 10;  /* for the last words to be written */

struct heartbeat {
    int64_t step;
    int64_t busy, busy_behind; /* with how much at once; behind: in the background */
    int64_t awaits;            /* the background */
};

struct seen {
    uint64_t comm, posted, done;
    uint64_t collectives, finished; /* without send and recv: posted, done */
    int64_t waits;                  /* for one that is not done: what is only posted ahead holds nobody up */
    int64_t is_background;
};

struct peer {
    bool ended;                                      /* said BYE */
    double heard;                                    /* when */
    double last_busy, last_busy_behind, last_awaits; /* when it last said so */
    struct heartbeat beat;
    struct seen *seen; /* (nseen) */
    size_t nseen;
};

struct tt_watchdog {
    struct tt_world *world;
    struct tt_watchdog_opts opts;
    struct tt_links links;
    struct peer *peer; /* (world->size) by rank; of this rank only what it tells itself */
    struct tt_buf message;
    double interval_s;
    int gone; /* the first rank whose connection has closed before it said BYE; -1: none */
    double gone_since;
    pid_t launcher;
    pthread_t thread;
    atomic_llong step; /* -1: none yet */
    atomic_int busy, busy_behind;
    atomic_bool awaits; /* the background */
    atomic_bool trains; /* has come to a second step */
    atomic_bool stop;
    bool has_warned[2]; /* of the operation that is late now, that the rank that it waits for is busy; [true]: in the background */
};

static double timeout_of(const struct tt_watchdog *w)
{
    return atomic_load(&w->trains) ? w->opts.train_timeout_s : w->opts.init_timeout_s;
}

/* --- the end ------------------------------------------------------------------------------------------------------------------ */

/* How far a rank has come, as it says in a sentence. */
struct progress {
    char text[48];
};

static struct progress progress_of(int64_t step)
{
    struct progress p = { "before its first step" };
    if (step > 0)
        snprintf(p.text, sizeof p.text, "at step %" PRId64, step);
    return p;
}

static bool is_silent(const struct tt_watchdog *w, int r)
{
    return w->links.link[r].fd < 0 || tt_seconds() - w->peer[r].heard > 3 * w->interval_s + 1;
}

static void write_record(struct tt_watchdog *w)
{
    struct tt_arena arena = { 0 };
    struct tt_err err;
    const char *path = tt_arena_printf(&arena, "%s%d", w->opts.record, w->world->rank);

    tt_status st = path ? tt_mkdir_p(tt_path_dir(&arena, path), &err) : tt_err_nomem(&err, 0, "a path");
    if (st == TT_OK)
        st = tt_trace_write(w->world, w->opts.noperations, path, &err);
    if (st == TT_OK)
        tt_log_line(w->opts.log, TT_LOG_INFO, "the last operations of rank %d are in %s", w->world->rank, path);
    else
        tt_log_line(w->opts.log, TT_LOG_WARNING, "%s", err.msg);
    tt_arena_release(&arena);
}

/* The rank's own thread may sleep in a wait that never ends, and MPI must not be called from here: nothing is left but to go. */
static _Noreturn void end(struct tt_watchdog *w, const char *why, bool record)
{
    signal(SIGTERM, SIG_IGN); /* the launcher's, where another rank has gone already */
    tt_limit_begin(said_wait_s, "");
    if (why)
        tt_log_line(w->opts.log, TT_LOG_ERROR, "%s", why);
    if (record && w->opts.noperations > 0)
        write_record(w);
    /* A launcher ends all that are left when the first has gone: they are to have written theirs. */
    sleep(1);
    _exit(1);
}

/* speaker: the lowest of the ranks that are not to blame, and live. */
static _Noreturn void end_all(struct tt_watchdog *w, const char *why, int speaker)
{
    tt_buf_clear(&w->message);
    tt_buf_le32(&w->message, (uint32_t)speaker);
    tt_buf_put(&w->message, why, strlen(why) + 1);
    for (int r = 0; r < w->world->size && !w->message.failed; r++)
        tt_links_send(&w->links, r, VERDICT, w->message.data, w->message.len);
    end(w, speaker == w->world->rank ? why : NULL, true);
}

static _Noreturn void hear_verdict(struct tt_watchdog *w, const uint8_t *bytes, size_t nbytes)
{
    const bool speak = nbytes > 4 && bytes[nbytes - 1] == 0 && tt_load_le32(bytes) == (uint32_t)w->world->rank;
    end(w, speak ? (const char *)bytes + 4 : NULL, true);
}

static int lowest_live(const struct tt_watchdog *w)
{
    int r = 0;
    while (r != w->world->rank && is_silent(w, r))
        r++;
    return r;
}

/* --- what is late ------------------------------------------------------------------------------------------------------------- */

struct late {
    struct tt_comm *comm;
    struct tt_trace_entry op;
    double for_s;
};

static const struct seen *seen_of(const struct peer *p, uint64_t comm)
{
    for (size_t i = 0; i < p->nseen; i++)
        if (p->seen[i].comm == comm)
            return &p->seen[i];
    return NULL;
}

static bool has_entered(const struct peer *p, const struct late *late, int r)
{
    const struct seen *seen = seen_of(p, late->comm->id);
    if (tt_coll_is_pair(late->op.kind))
        return r != late->op.peer;
    return seen && seen->collectives >= late->op.collective;
}

static bool has_finished(const struct peer *p, const struct late *late)
{
    const struct seen *seen = seen_of(p, late->comm->id);
    return seen && !tt_coll_is_pair(late->op.kind) && seen->finished >= late->op.collective;
}

static bool any_busy_behind(const struct tt_watchdog *w, double since)
{
    bool any = atomic_load(&w->busy_behind) > 0;
    for (int r = 0; r < w->world->size; r++)
        any |= w->peer[r].last_busy_behind > since;
    return any;
}

/* Busy with what bears on the operation, or was so lately. What a rank does in the background holds up the background's operations alone,
 * and ranks that wait for their own background, which waits for that one. */
static bool is_busy(const struct tt_watchdog *w, const struct late *late, int r)
{
    const struct peer *p = &w->peer[r];
    const double since = tt_seconds() - timeout_of(w);
    if (p->last_busy > since || (late->comm->is_background && p->last_busy_behind > since))
        return true;
    return p->last_awaits > since && any_busy_behind(w, since);
}

/* With a thread on which its coming to the operation depends: the background is begun by the thread that trains, and holds that up only where
 * it is waited for. */
static bool is_waiting(const struct tt_watchdog *w, const struct late *late, const struct peer *p)
{
    const bool any = late->comm->is_background || p->last_awaits > tt_seconds() - timeout_of(w);
    for (size_t i = 0; i < p->nseen; i++)
        if (p->seen[i].waits > 0 && p->seen[i].posted > p->seen[i].done && (any || !p->seen[i].is_background))
            return true;
    return false;
}

/* Whether it is rank r that others wait for: it has been silent for as long as an operation may take, or has not entered and does not
 * wait itself. `any`: not entered is enough. */
static bool is_culprit(struct tt_watchdog *w, const struct late *late, int r, bool any)
{
    const struct peer *p = &w->peer[r];
    const bool is_lost = w->links.link[r].fd < 0 || tt_seconds() - p->heard > timeout_of(w);
    bool is_member = false;

    for (int i = 0; i < late->comm->size; i++)
        is_member |= late->comm->ranks[i] == r;
    if (!is_member || r == w->world->rank || (has_entered(p, late, r) && !is_lost))
        return false;
    return p->ended || is_lost || (!is_busy(w, late, r) && (any || !is_waiting(w, late, p)));
}

static void add_culprits(struct tt_names_text *names, struct tt_watchdog *w, const struct late *late, bool any)
{
    for (int i = 0; i < late->comm->size; i++) {
        const int r = late->comm->ranks[i];
        char text[96];
        if (!is_culprit(w, late, r, any))
            continue;
        snprintf(text, sizeof text, "rank %d (%s, last heard of %.1f s ago%s)", r, progress_of(w->peer[r].beat.step).text,
                 tt_seconds() - w->peer[r].heard, w->peer[r].ended ? ", at its end" : "");
        tt_names_text_add(names, text);
    }
}

/* Those that have finished it; how many. names may be NULL. */
static int add_finished(struct tt_names_text *names, const struct tt_watchdog *w, const struct late *late)
{
    int n = 0;

    for (int i = 0; i < late->comm->size; i++) {
        const int r = late->comm->ranks[i];
        char text[32];
        if (r == w->world->rank || !has_finished(&w->peer[r], late))
            continue;
        snprintf(text, sizeof text, "rank %d", r);
        if (names)
            tt_names_text_add(names, text);
        n++;
    }
    return n;
}

static bool all_entered(const struct tt_watchdog *w, const struct late *late)
{
    for (int i = 0; i < late->comm->size; i++) {
        const int r = late->comm->ranks[i];
        if (r != w->world->rank && !has_entered(&w->peer[r], late, r))
            return false;
    }
    return true;
}

static bool any_busy(const struct tt_watchdog *w, const struct late *late)
{
    for (int r = 0; r < w->world->size; r++)
        if (r != w->world->rank && is_busy(w, late, r))
            return true;
    return false;
}

static void describe(struct tt_buf *out, const struct tt_watchdog *w, const struct late *late)
{
    tt_buf_printf(out, "%s of %s (operation %" PRIu64 " of group %s) is not done after %.1f s, rank %d being %s: ",
                  tt_coll_name(late->op.kind), late->op.what, late->op.number, late->comm->name, late->for_s, w->world->rank,
                  progress_of(atomic_load(&w->step)).text);
}

static _Noreturn void blame(struct tt_watchdog *w, const struct late *late, const char *reason, const char *names, const char *rest)
{
    struct tt_buf why = { 0 };
    int speaker = 0;

    describe(&why, w, late);
    tt_buf_printf(&why, "%s%s%s", reason, names, rest);
    while (speaker != w->world->rank && (is_silent(w, speaker) || is_culprit(w, late, speaker, false)))
        speaker++;
    end_all(w, tt_buf_cstr(&why), speaker);
}

static void warn_of_busy(struct tt_watchdog *w, const struct late *late)
{
    bool *has_warned = &w->has_warned[late->comm->is_background];
    struct tt_buf text = { 0 };

    if (!*has_warned) {
        describe(&text, w, late);
        tt_buf_str(&text, "another rank is busy, and waited for (it loads, saves or reads)");
        tt_log_line(w->opts.log, TT_LOG_WARNING, "%s", tt_buf_cstr(&text));
    }
    *has_warned = true;
    tt_buf_release(&text);
}

static void judge(struct tt_watchdog *w, const struct late *late)
{
    const bool busy = any_busy(w, late);
    struct tt_names_text late_ranks = { 0 }, finished = { 0 };

    add_culprits(&late_ranks, w, late, false);
    /* Ranks that wait for each other in a circle. */
    if (late_ranks.n == 0 && late->for_s > 2 * timeout_of(w) && !busy)
        add_culprits(&late_ranks, w, late, true);
    if (late_ranks.n > 0)
        blame(w, late, "it waits for ", tt_names_text_end(&late_ranks), "");
    /* It may only be a little behind. */
    if (all_entered(w, late) && late->comm->finished_since > 0 && tt_seconds() - late->comm->finished_since > timeout_of(w))
        add_finished(&finished, w, late);
    if (finished.n > 0)
        blame(w, late, "all of its ranks have entered it, and ", tt_names_text_end(&finished),
              " finished it: a message to this one has not come");
    if (late->for_s > 3 * timeout_of(w) && !busy)
        blame(w, late, "all of its ranks have entered it", "", "");
    if (busy)
        warn_of_busy(w, late);
    tt_names_text_release(&late_ranks);
    tt_names_text_release(&finished);
}

/* The operation that a communicator has been at for longest, where that is too long. */
static bool find_late(struct tt_watchdog *w, struct tt_comm *comm, struct late *late)
{
    const struct tt_comm_seen seen = tt_comm_seen(comm);
    const double now = tt_seconds();

    if (seen.posted == seen.done || seen.done != comm->watched || comm->watched_since == 0) {
        comm->watched = seen.done;
        comm->watched_since = now;
        comm->finished_since = 0;
    }
    *late = (struct late){ .comm = comm, .for_s = now - comm->watched_since };
    if (seen.posted == seen.done || !tt_trace_find(w->world->trace, comm->id, seen.done + 1, &late->op))
        return false;
    if (comm->finished_since == 0 && add_finished(NULL, w, late) > 0)
        comm->finished_since = now;
    return late->for_s > timeout_of(w);
}

/* Where this thread has not run for a while the others may not have either: their machine was paused, and all clocks with it. */
static void forgive(struct tt_watchdog *w, double pause_s)
{
    for (int r = 0; r < w->world->size; r++) {
        w->peer[r].heard += pause_s;
        w->peer[r].last_busy += w->peer[r].last_busy > 0 ? pause_s : 0;
        w->peer[r].last_busy_behind += w->peer[r].last_busy_behind > 0 ? pause_s : 0;
        w->peer[r].last_awaits += w->peer[r].last_awaits > 0 ? pause_s : 0;
    }
    pthread_mutex_lock(&w->world->lock);
    for (struct tt_comm *c = w->world->comms; c; c = c->next) {
        c->watched_since += c->watched_since > 0 ? pause_s : 0;
        c->finished_since += c->finished_since > 0 ? pause_s : 0;
    }
    pthread_mutex_unlock(&w->world->lock);
}

/* Of the background's operations the latest, and of the others: what excuses one need not excuse the other. */
static void look_for_late(struct tt_watchdog *w)
{
    struct late late, latest[2] = { 0 };

    pthread_mutex_lock(&w->world->lock);
    for (struct tt_comm *c = w->world->comms; c; c = c->next)
        if (find_late(w, c, &late) && late.for_s > latest[c->is_background].for_s)
            latest[c->is_background] = late;
    pthread_mutex_unlock(&w->world->lock);
    for (int i = 0; i < 2; i++)
        if (latest[i].comm) /* its rank waits in it: it is not freed meanwhile */
            judge(w, &latest[i]);
        else
            w->has_warned[i] = false;
}

/* --- telling and hearing ------------------------------------------------------------------------------------------------------ */

static void tell_all(struct tt_watchdog *w)
{
    const struct heartbeat beat = { .step = atomic_load(&w->step),
                                    .busy = atomic_load(&w->busy),
                                    .busy_behind = atomic_load(&w->busy_behind),
                                    .awaits = atomic_load(&w->awaits) };

    tt_buf_clear(&w->message);
    tt_buf_put(&w->message, &beat, sizeof beat);
    pthread_mutex_lock(&w->world->lock);
    int n = 0;
    for (const struct tt_comm *c = w->world->comms; c && n < GROUPS_MAX; c = c->next, n++) {
        const struct tt_comm_seen now = tt_comm_seen(c);
        const uint64_t collectives = atomic_load(&c->collectives);
        struct tt_trace_entry last = { .collective = now.posted == now.done ? collectives : 0 };
        if (now.posted > now.done)
            (void)tt_trace_find(w->world->trace, c->id, now.done, &last);
        const struct seen seen = { c->id,           now.posted, now.done, collectives, last.collective, atomic_load(&c->waits),
                                   c->is_background };
        tt_buf_put(&w->message, &seen, sizeof seen);
    }
    pthread_mutex_unlock(&w->world->lock);
    for (int r = 0; r < w->world->size && !w->message.failed; r++)
        tt_links_send(&w->links, r, HEARTBEAT, w->message.data, w->message.len);
}

static void hear_heartbeat(struct peer *p, const void *bytes, size_t nbytes)
{
    struct heartbeat beat;
    if (nbytes < sizeof beat)
        return;
    memcpy(&beat, bytes, sizeof beat);
    const size_t n = (nbytes - sizeof beat) / sizeof *p->seen;
    struct seen *seen = n > p->nseen ? realloc(p->seen, n * sizeof *seen) : p->seen;
    if (n > 0 && !seen)
        return;
    if (n > 0)
        memcpy(seen, (const char *)bytes + sizeof beat, n * sizeof *seen);
    p->seen = seen;
    p->nseen = n;
    if (beat.busy > 0)
        p->last_busy = tt_seconds();
    if (beat.busy_behind > 0)
        p->last_busy_behind = tt_seconds();
    if (beat.awaits)
        p->last_awaits = tt_seconds();
    p->beat = beat;
}

static void tell_end(struct tt_watchdog *w, char kind, const char *why)
{
    for (int r = 0; r < w->world->size; r++)
        tt_links_send(&w->links, r, kind, why, strlen(why) + 1);
}

/* What a higher rank has found this one may be about to find: then it says it. */
static bool fails_too(const struct tt_watchdog *w)
{
    const double until = tt_seconds() + lower_wait_s / 4;
    while (!atomic_load(&w->stop) && tt_seconds() < until)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    return atomic_load(&w->stop);
}

static void hear(void *ctx, int rank, char kind, const void *bytes, size_t nbytes)
{
    struct tt_watchdog *w = ctx;
    struct peer *p = &w->peer[rank];

    p->heard = tt_seconds();
    switch (kind) {
    case HEARTBEAT: hear_heartbeat(p, bytes, nbytes); break;
    case BYE: p->ended = true; break;
    case FAILED:
        if (rank > w->world->rank && fails_too(w)) {
            p->ended = true;
            break;
        }
        tell_end(w, BYE, "");                     /* to all: others may have failed too, and wait to hear from this one */
        end(w, NULL, atomic_load(&w->step) >= 0); /* what fails before is no riddle */
    case VERDICT: hear_verdict(w, bytes, nbytes);
    case 0:
        if (p->ended || w->gone >= 0)
            break;
        w->gone = rank;
        w->gone_since = p->heard;
        break;
    default: break;
    }
}

static _Noreturn void end_for_gone(struct tt_watchdog *w)
{
    struct tt_names_text gone = { 0 };
    struct tt_buf why = { 0 };

    for (int r = 0; r < w->world->size; r++) {
        char text[80];
        if (r == w->world->rank || w->links.link[r].fd >= 0 || w->peer[r].ended)
            continue;
        snprintf(text, sizeof text, "rank %d (%s)", r, progress_of(w->peer[r].beat.step).text);
        tt_names_text_add(&gone, text);
    }
    if (gone.n > 1)
        tt_buf_printf(&why, "%s are gone: their connections have closed", tt_names_text_end(&gone));
    else
        tt_buf_printf(&why, "rank %d is gone, last heard of %s: its connection has closed", w->gone,
                      progress_of(w->peer[w->gone].beat.step).text);
    end_all(w, tt_buf_cstr(&why), lowest_live(w));
}

static void *watch(void *arg)
{
    struct tt_watchdog *w = arg;

    double looked = tt_seconds();
    for (double next = looked; !atomic_load(&w->stop);) {
        const double now = tt_seconds();
        if (now - looked > 2 * w->interval_s + 1)
            forgive(w, now - looked);
        looked = now;
        if (w->gone >= 0 && now - w->gone_since > gone_wait_s)
            end_for_gone(w);
        if (now >= next) {
            next = now + w->interval_s;
            tell_all(w);
            look_for_late(w);
            if (getppid() != w->launcher)
                end_all(w, "what started this run is gone", lowest_live(w));
        }
        tt_links_poll(&w->links, next - now < 0.1 ? next - now : 0.1, hear, w);
    }
    return NULL;
}

/* --- starting and stopping ---------------------------------------------------------------------------------------------------- */

static void release(struct tt_watchdog *w)
{
    tt_links_close(&w->links);
    tt_trace_stop(w->world);
    for (int r = 0; w->peer && r < w->world->size; r++)
        free(w->peer[r].seen);
    free(w->peer);
    tt_buf_release(&w->message);
    free(w);
}

static tt_status start_thread(struct tt_watchdog *w, struct tt_err *err)
{
    const int rc = tt_thread_start(&w->thread, watch, w);

    return rc == 0 ? TT_OK : tt_err_errno(err, rc, "cannot start the watchdog's thread");
}

tt_status tt_watchdog_start(struct tt_watchdog **out, struct tt_world *world, const struct tt_watchdog_opts *opts,
                            struct tt_err *err)
{
    *out = NULL;
    if (!world->ops->processes)
        return TT_OK;
    const double least = opts->init_timeout_s < opts->train_timeout_s ? opts->init_timeout_s : opts->train_timeout_s;
    struct tt_watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return tt_err_nomem(err, sizeof *w, "a watchdog");
    *w = (struct tt_watchdog){
        .world = world, .opts = *opts, .launcher = getppid(), .interval_s = least < 8 ? least / 8 : 1, .gone = -1, .step = -1
    };
    w->peer = calloc((size_t)world->size, sizeof *w->peer);
    tt_status st = w->peer ? TT_OK : tt_err_nomem(err, (size_t)world->size * sizeof *w->peer, "a watchdog");
    for (int r = 0; st == TT_OK && r < world->size; r++)
        w->peer[r].heard = tt_seconds();
    if (st == TT_OK)
        st = tt_links_open(&w->links, world, opts->init_timeout_s, err);
    /* What is late is looked up in the record. */
    if (st == TT_OK)
        st = tt_trace_start(world, opts->noperations > FEWEST_OPERATIONS ? opts->noperations : FEWEST_OPERATIONS, err);
    if (st == TT_OK)
        st = start_thread(w, err);
    if (st == TT_OK)
        tt_limit_end();
    if (st == TT_OK)
        *out = w;
    else
        release(w);
    return st;
}

void tt_watchdog_step(struct tt_watchdog *watchdog, int64_t step)
{
    if (!watchdog)
        return;
    if (atomic_exchange(&watchdog->step, step) >= 0)
        atomic_store(&watchdog->trains, true);
}

void tt_watchdog_busy(struct tt_watchdog *watchdog)
{
    if (watchdog)
        atomic_fetch_add(&watchdog->busy, 1);
}

void tt_watchdog_done(struct tt_watchdog *watchdog)
{
    if (watchdog)
        atomic_fetch_sub(&watchdog->busy, 1);
}

void tt_watchdog_set_background(struct tt_comm *group)
{
    pthread_mutex_lock(&group->world->lock);
    group->is_background = true;
    pthread_mutex_unlock(&group->world->lock);
}

static atomic_int *count_for(struct tt_watchdog *w, const struct tt_comm *group)
{
    return group->is_background ? &w->busy_behind : &w->busy;
}

void tt_watchdog_busy_for(struct tt_watchdog *watchdog, const struct tt_comm *group)
{
    if (watchdog)
        atomic_fetch_add(count_for(watchdog, group), 1);
}

void tt_watchdog_done_for(struct tt_watchdog *watchdog, const struct tt_comm *group)
{
    if (watchdog)
        atomic_fetch_sub(count_for(watchdog, group), 1);
}

void tt_watchdog_await_background(struct tt_watchdog *watchdog, bool awaits)
{
    if (watchdog)
        atomic_store(&watchdog->awaits, awaits);
}

/* --- one failure of many ------------------------------------------------------------------------------------------------------ */

/* What lower ranks say while a rank that has failed waits to say how. */
struct lower {
    struct tt_watchdog *watchdog;
    const char *why;
    int left; /* that may still say it */
    bool said;
};

static void hear_lower(void *ctx, int rank, char kind, const void *bytes, size_t nbytes)
{
    struct lower *lower = ctx;
    struct peer *p = &lower->watchdog->peer[rank];

    if (rank >= lower->watchdog->world->rank || p->ended || kind == HEARTBEAT || kind == VERDICT)
        return;
    p->ended = true;
    lower->left--;
    lower->said |= kind == FAILED && nbytes > 0 && ((const char *)bytes)[nbytes - 1] == 0 && strcmp(bytes, lower->why) == 0;
}

/* What several ranks have to say alike the lowest says: the others go. */
static void leave_to_lower(struct tt_watchdog *w, const char *why)
{
    struct lower lower = { .watchdog = w, .why = why };
    const double until = tt_seconds() + lower_wait_s;

    for (int r = 0; r < w->world->rank; r++)
        lower.left += !w->peer[r].ended && w->links.link[r].fd >= 0;
    while (lower.left > 0 && !lower.said && tt_seconds() < until)
        tt_links_poll(&w->links, 0.05, hear_lower, &lower);
    if (lower.said)
        end(w, NULL, false);
}

void tt_watchdog_stop(struct tt_watchdog *watchdog, const struct tt_err *failed)
{
    if (!watchdog)
        return;
    if (failed)
        signal(SIGTERM, SIG_IGN); /* as in `end`, until it is said */
    atomic_store(&watchdog->stop, true);
    pthread_join(watchdog->thread, NULL);
    tell_end(watchdog, failed ? FAILED : BYE, failed ? failed->msg : "");
    if (failed)
        leave_to_lower(watchdog, failed->msg);
    release(watchdog);
}

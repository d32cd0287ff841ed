/* Threads that take parts of work as they come to them. The caller takes parts, too, and waits only for parts that were
   begun: a helper that does not run, because other work has its core, is not missed. */
#include "decoder_internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define AWAKE 20000   /* looks before a helper sleeps: about as long as a token is drawn */
#define PATIENCE 2000 /* looks before the caller lets others go first: the helper it waits for may not be running */
#define FIELD 16      /* bits of a ticket for the number of parts, and for the next one; the rest counts the shares */

struct team {
    int32_t count, asleep, closing;
    uint64_t ticket; /* which share, how many parts it has, and which comes next */
    int32_t done;
    work *work;
    void *given;
    pthread_mutex_t lock;
    pthread_cond_t wakes;
    struct helper *helpers;
};

struct helper {
    struct team *team;
    int32_t index;
    pthread_t thread;
};

static inline void pause_a_little(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Takes the next part and computes it; 0 where none is left. `work` and `given` change only when all parts are done: a
   ticket that still has parts, and has not changed since, proves that they are right. */
static int take(struct team *team, int32_t index) {
    uint64_t ticket = __atomic_load_n(&team->ticket, __ATOMIC_ACQUIRE);
    const int32_t part = (uint16_t)ticket, parts = (uint16_t)(ticket >> FIELD);
    if (part >= parts) return 0;
    work *const work = __atomic_load_n(&team->work, __ATOMIC_RELAXED);
    void *const given = __atomic_load_n(&team->given, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(&team->ticket, &ticket, ticket + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return 1;
    work(given, part, index);
    __atomic_add_fetch(&team->done, 1, __ATOMIC_RELEASE);
    return 1;
}

void team_share(struct team *team, work *work, void *given, int32_t parts) {
    if (team->count == 1) {
        for (int32_t part = 0; part < parts; part++) work(given, part, 0);
        return;
    }
    const uint64_t share = (__atomic_load_n(&team->ticket, __ATOMIC_RELAXED) >> 2 * FIELD) + 1;
    __atomic_store_n(&team->done, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&team->work, work, __ATOMIC_RELAXED);
    __atomic_store_n(&team->given, given, __ATOMIC_RELAXED);
    __atomic_store_n(&team->ticket, share << 2 * FIELD | (uint64_t)parts << FIELD, __ATOMIC_RELEASE);
    while (take(team, 0)) {}
    for (int32_t looks = 0; __atomic_load_n(&team->done, __ATOMIC_ACQUIRE) < parts; looks++) {
        if (looks < PATIENCE) {
            pause_a_little();
        } else {
            sched_yield();
        }
    }
}

static void sleep_until_woken(struct team *team) {
    pthread_mutex_lock(&team->lock);
    team->asleep++;
    if (!team->closing) pthread_cond_wait(&team->wakes, &team->lock);
    team->asleep--;
    pthread_mutex_unlock(&team->lock);
}

static void *help(void *given) {
    const struct helper *helper = given;
    struct team *team = helper->team;
    int32_t looks = 0;
    while (!__atomic_load_n(&team->closing, __ATOMIC_ACQUIRE)) {
        if (take(team, helper->index)) {
            looks = 0;
        } else if (++looks < AWAKE) {
            pause_a_little();
        } else {
            sleep_until_woken(team);
            looks = 0;
        }
    }
    return NULL;
}

void team_wake(struct team *team) {
    if (team->count == 1) return;
    pthread_mutex_lock(&team->lock);
    if (team->asleep) pthread_cond_broadcast(&team->wakes);
    pthread_mutex_unlock(&team->lock);
}

int32_t team_count(const struct team *team) { return team->count; }

struct team *team_open(int32_t count) {
    struct team *team = calloc(1, sizeof *team);
    if (!team) return NULL;
    team->count = 1;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wakes, NULL);
    team->helpers = calloc((size_t)count, sizeof *team->helpers);
    if (!team->helpers) count = 1;
    for (int32_t index = 1; index < count; index++) {
        team->helpers[index] = (struct helper){.team = team, .index = index};
        if (pthread_create(&team->helpers[index].thread, NULL, help, &team->helpers[index])) break;
        team->count++;
    }
    return team;
}

void team_close(struct team *team) {
    if (!team) return;
    pthread_mutex_lock(&team->lock);
    __atomic_store_n(&team->closing, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&team->wakes);
    pthread_mutex_unlock(&team->lock);
    for (int32_t index = 1; index < team->count; index++) pthread_join(team->helpers[index].thread, NULL);
    pthread_cond_destroy(&team->wakes);
    pthread_mutex_destroy(&team->lock);
    free(team->helpers);
    free(team);
}

/* Design note: one lock and one condition for everything; launches are few and wait long. A question is asked with the
 * lock let go of and a flag held in its place, so that places and cancels go on meanwhile. */
#define _GNU_SOURCE
#include "launch_group.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "sys.h"

#define ANSWER_BYTES 256

/* Who logs in to one host. */
struct place {
    struct place *next;
    int count;
    char host[];
};

struct answer {
    struct answer *next;
    bool given;
    char text[ANSWER_BYTES];
    char key[];
};

struct mf_launch_group {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct place *places;
    struct answer *answers;
    bool asking;
    mf_launch_ask *ask;
    void *arg;
};

struct mf_launch_group *mf_launch_group_new(mf_launch_ask *ask, void *arg)
{
    struct mf_launch_group *g = calloc(1, sizeof *g);
    if (!g || pthread_mutex_init(&g->lock, NULL) != 0) {
        free(g);
        return NULL;
    }
    if (mf_sys_cond_init(&g->changed) != MF_OK) {
        pthread_mutex_destroy(&g->lock);
        free(g);
        return NULL;
    }
    g->ask = ask;
    g->arg = arg;
    return g;
}

void mf_launch_group_free(struct mf_launch_group *g)
{
    if (!g)
        return;
    while (g->places) {
        struct place *p = g->places;
        g->places = p->next;
        free(p);
    }
    while (g->answers) {
        struct answer *a = g->answers;
        g->answers = a->next;
        mf_hash_wipe(a->text, sizeof a->text);
        free(a);
    }
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void mf_launch_group_wake(struct mf_launch_group *g)
{
    pthread_mutex_lock(&g->lock);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* --- Places -------------------------------------------------------------------------------------------------------- */

/* Lock held. NULL: memory is out. */
static struct place *place_of(struct mf_launch_group *g, const char *host)
{
    struct place *p = g->places;
    while (p && strcmp(p->host, host) != 0)
        p = p->next;
    if (p)
        return p;
    p = calloc(1, sizeof *p + strlen(host) + 1);
    if (!p)
        return NULL;
    strcpy(p->host, host);
    p->next = g->places;
    g->places = p;
    return p;
}

bool mf_launch_group_enter(struct mf_launch_group *g, const char *host, const atomic_bool *cancelled)
{
    pthread_mutex_lock(&g->lock);
    struct place *p = place_of(g, host);
    while (p && p->count >= MF_LAUNCH_AT_ONCE && !atomic_load(cancelled))
        pthread_cond_wait(&g->changed, &g->lock);
    bool entered = p && !atomic_load(cancelled);
    if (entered)
        p->count++;
    pthread_mutex_unlock(&g->lock);
    return entered;
}

void mf_launch_group_leave(struct mf_launch_group *g, const char *host)
{
    pthread_mutex_lock(&g->lock);
    place_of(g, host)->count--;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

/* --- Questions ----------------------------------------------------------------------------------------------------- */

bool mf_launch_group_can_ask(const struct mf_launch_group *g)
{
    return g->ask != NULL;
}

static struct answer *find(const struct mf_launch_group *g, const char *key)
{
    struct answer *a = key ? g->answers : NULL;
    while (a && strcmp(a->key, key) != 0)
        a = a->next;
    return a;
}

/* Keeps an answer. Lock held. */
static void keep(struct mf_launch_group *g, const char *key, bool given, const char *text)
{
    struct answer *a = find(g, key);
    if (!key || strlen(text) >= ANSWER_BYTES)
        return;
    if (!a) {
        a = calloc(1, sizeof *a + strlen(key) + 1);
        if (!a)
            return; /* asked again next time */
        strcpy(a->key, key);
        a->next = g->answers;
        g->answers = a;
    }
    a->given = given;
    strcpy(a->text, given ? text : "");
}

static bool ask_person(struct mf_launch_group *g, const struct mf_launch_question *question, const char *key,
                       char *answer, size_t room)
{
    g->asking = true;
    pthread_mutex_unlock(&g->lock);
    bool given = g->ask(g->arg, question, answer, room);
    pthread_mutex_lock(&g->lock);
    g->asking = false;
    keep(g, key, given, answer);
    pthread_cond_broadcast(&g->changed);
    return given;
}

bool mf_launch_group_ask(struct mf_launch_group *g, const struct mf_launch_question *question, const char *key,
                         bool again, char *answer, size_t room, const atomic_bool *cancelled)
{
    bool given = false;
    answer[0] = '\0';
    if (!g->ask)
        return false;
    pthread_mutex_lock(&g->lock);
    while (g->asking && !atomic_load(cancelled))
        pthread_cond_wait(&g->changed, &g->lock);
    const struct answer *kept = find(g, key);
    if (kept && (!again || !kept->given)) {
        given = kept->given;
        snprintf(answer, room, "%s", kept->text);
    } else if (!atomic_load(cancelled)) {
        given = ask_person(g, question, key, answer, room);
    }
    pthread_mutex_unlock(&g->lock);
    return given;
}

/* What the launches of one plan share: how many log in to a host at the same time, and what a person was asked. The type
 * and its life stand in launch_ssh.h. Any thread. */
#ifndef MF_LAUNCH_GROUP_H
#define MF_LAUNCH_GROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "launch_ssh.h"

#define MF_LAUNCH_AT_ONCE 8 /* log-ins to one host; a server with default settings refuses some beyond 10 */

/* Waits for a place among those who log in to that host ("10.0.0.1:22"). False: *cancelled was set (mf_launch_group_wake
 * makes it look), or memory is out; no place is held then. */
bool mf_launch_group_enter(struct mf_launch_group *group, const char *host, const atomic_bool *cancelled);
void mf_launch_group_leave(struct mf_launch_group *group, const char *host);

/* Asks, one question at a time. key: what the answer is kept under (NULL: it is not kept); again: the answer that is kept was
 * wrong. A person who gave no answer is not asked again under that key. False: no answer, or cancelled while waiting for
 * another question. */
bool mf_launch_group_ask(struct mf_launch_group *group, const struct mf_launch_question *question, const char *key,
                         bool again, char *answer, size_t room, const atomic_bool *cancelled);
bool mf_launch_group_can_ask(const struct mf_launch_group *group);

void mf_launch_group_wake(struct mf_launch_group *group);

#endif

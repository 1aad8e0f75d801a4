/* What the files of ssh_config share. Included by them only. */
#ifndef MF_SSH_CONFIG_INNER_H
#define MF_SSH_CONFIG_INNER_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "ssh_config.h"

#define MF_SSH_WORDS 32 /* values of one directive */

/* Directives as they are read, before paths are made whole. Values are owned; first ones win. */
struct mf_ssh_raw {
    char *hostname, *user, *alias, *port, *identities_only, *agent, *hashed, *jump, *family;
    char *publickey, *keyboard, *password, *gssapi;
    char *identities[MF_SSH_FILES + 1];
    char *known[MF_SSH_FILES + 1], *global[MF_SSH_FILES + 1]; /* NULL at the end */
    char needs_program[96];
};

/* Takes in one directive, its keyword in any case. Those that are not known are passed over. False: memory is out. */
bool mf_ssh_raw_set(struct mf_ssh_raw *raw, const char *keyword, char *const words[], size_t n);
void mf_ssh_raw_release(struct mf_ssh_raw *raw);

/* Cuts a line in place into keyword and values as OpenSSH does (blanks, one '=' behind the keyword, double quotes); how
 * many words, 0 for an empty line or a comment. words has room for MF_SSH_WORDS. */
size_t mf_ssh_words(char *line, char *words[MF_SSH_WORDS]);

/* The two sources. */
enum mf_err mf_ssh_config_ask(const struct mf_ssh_query *query, struct mf_ssh_raw *raw, struct mf_fault *fault);
enum mf_err mf_ssh_config_read(const struct mf_ssh_query *query, const char *home, struct mf_ssh_raw *raw,
                               struct mf_fault *fault);

#endif

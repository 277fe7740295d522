/*
 * Defects that an environment variable turns on, one at a time. Included by every source file that has an addition.
 *
 * VHOST_RECONNECT_DEFECT=<id> chooses a defect; without the variable the program behaves as it did before the additions.
 * An id that this build does not have, an empty one too, ends the program at its start: a slip must never look like a
 * program without a defect.
 */
#ifndef VHOST_RECONNECT_DEFECT_H
#define VHOST_RECONNECT_DEFECT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
/* Generated: DEFECT_IDS, the quoted ids with a comma after each. */
#include "defect-ids.h"

#define DEFECT_VARIABLE "VHOST_RECONNECT_DEFECT"

/* NULL: no defect. Each source file has its own. */
static const char *defect_chosen;

static void __attribute__((constructor)) defect_choose(void)
{
    static const char *const ids[] = { DEFECT_IDS NULL };
    const char *chosen = getenv(DEFECT_VARIABLE);

    if (!chosen) {
        return;
    }
    for (const char *const *id = ids; *id; id++) {
        if (strcmp(*id, chosen) == 0) {
            defect_chosen = *id;
            return;
        }
    }
    fprintf(stderr, DEFECT_VARIABLE ": this build has no defect '%s'\n", chosen);
    _exit(2);
}

/* Connections that were opened so far; one for the whole program. Counted by code that the defects share. */
__attribute__((weak)) unsigned defect_sessions;

/* Whether the defect of this id is to be shown. */
static inline bool defect(const char *id)
{
    return defect_chosen && strcmp(defect_chosen, id) == 0;
}

/* The same, from the second connection on. */
static inline bool defect_on_return(const char *id)
{
    return defect_sessions > 1 && defect(id);
}

#endif

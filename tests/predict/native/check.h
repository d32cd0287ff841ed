/* What the files of the check share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

extern int failures;

#define CHECK(holds, ...)                        \
    do {                                         \
        if (!(holds)) {                          \
            failures++;                          \
            printf("line %d: ", __LINE__);       \
            printf(__VA_ARGS__);                 \
            printf("\n");                        \
        }                                        \
    } while (0)

void check_decoders(void);

#endif

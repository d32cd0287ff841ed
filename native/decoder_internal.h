/* What the files of the decoder share. */
#ifndef NANOSMITH_DECODER_INTERNAL_H
#define NANOSMITH_DECODER_INTERNAL_H

#include "decoder.h"

/* The input of a linear layer in 8 bits, a scale for each block, as `bits` of its weights want it.

   4 bits: the numbers with even places in `low`, the others in `high`. 8 bits: all in `low`.
   A lane is four bytes of weights: `start` is what its sum begins with, so that weights need not be centred; `scale` its
   block's. Lanes are padded with 0 to a multiple of 16. */
struct activations {
    int8_t *low, *high;
    int32_t *start;
    float *scale;
};

/* out[n] for the outputs n of [first, end): none, or at least 4. */
typedef void dot(const struct block_linear *linear, const struct activations *x, int32_t first, int32_t end, float *out);
dot dot_avx2, dot_vnni;

/* Threads that share the parts of one piece of work after the other. */
struct team;
/* Computes a part; `index` is the thread's, 0 being the caller of team_share. */
typedef void work(void *given, int32_t part, int32_t index);

struct team *team_open(int32_t count); /* or NULL */
void team_close(struct team *team);
int32_t team_count(const struct team *team);
/* Much is to be shared soon: whoever sleeps wakes up. */
void team_wake(struct team *team);
/* work(given, part, index) for all parts 0 … parts - 1, fewer than 2^16. */
void team_share(struct team *team, work *work, void *given, int32_t parts);

#endif

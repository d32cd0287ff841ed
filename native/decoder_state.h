/* An opened decoder. */
#ifndef NANOSMITH_DECODER_STATE_H
#define NANOSMITH_DECODER_STATE_H

#include "decoder_internal.h"

#define MAX_HEAD 512 /* numbers of one head */
enum place { QKV, OUT, GATE, UP, DOWN };

struct decoder {
    struct decoder_description is;
    dot *dot;
    struct team *team;
    struct step step;                    /* that is being computed */
    struct activations q[2];             /* x for weights of 4 and of 8 bits */
    float *x, *hidden, *qkv, *mixed, *other;
    float *inner;                        /* x @ a of one or two places */
    float **scores;                      /* of each thread */
    int32_t ranks, room;                 /* how many `inner` and each of `scores` have room for */
};

void decode(struct decoder *decoder);

#endif

/* Opens and closes decoders, and looks at what they are given. */
#include "decoder_internal.h"
#include "decoder_state.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SIZE (1 << 22) /* fewer than 2^16 parts of any layer */

static int within(int32_t value, int32_t low, int32_t high) { return value >= low && value <= high; }

static int linear_fits(const struct block_linear *linear, int32_t inner, int32_t outer) {
    return linear->weight && linear->scale && (linear->bits == 4 || linear->bits == 8) && linear->inner == inner &&
           linear->outer == outer && inner > 0 && inner % BLOCK == 0 && outer >= 8;
}

static int layer_fits(const struct decoder_description *is, const struct decoder_layer *layer) {
    const int32_t attended = is->heads * is->head_width, apart = is->groups * is->head_width;
    const int32_t inner = layer->linear[GATE].outer;
    return layer->norm1 && layer->norm2 && within(inner, BLOCK, MAX_SIZE) &&
           linear_fits(&layer->linear[QKV], is->width, attended + 2 * apart) &&
           linear_fits(&layer->linear[OUT], attended, is->width) &&
           linear_fits(&layer->linear[GATE], is->width, inner) && linear_fits(&layer->linear[UP], is->width, inner) &&
           linear_fits(&layer->linear[DOWN], inner, is->width);
}

static int description_fits(const struct decoder_description *is) {
    if (!within(is->width, BLOCK, MAX_SIZE) || !within(is->vocabulary, 8, MAX_SIZE) || !is->cosine || !is->sine) return 0;
    if (!within(is->groups, 1, 1024) || !within(is->heads, is->groups, 1024) || is->heads % is->groups) return 0;
    if (!within(is->head_width, 16, MAX_HEAD) || is->head_width % 16 || !within(is->layer_count, 0, 1024)) return 0;
    if (!within(is->positions, 1, MAX_SIZE) || !within(is->threads, 1, 1024) || !is->norm || !is->layers) return 0;
    for (int32_t i = 0; i < is->layer_count; i++)
        if (!layer_fits(is, &is->layers[i])) return 0;
    return linear_fits(&is->head, is->width, is->vocabulary);
}

static float *floats_of(size_t count) {
    void *found = NULL;
    return posix_memalign(&found, 64, count * sizeof(float) + 64) ? NULL : found;
}

static int open_activations(struct activations *q, int32_t widest) {
    const size_t lanes = (size_t)widest / 4 + 64; /* and what is read of the last vector beyond it */
    q->low = (int8_t *)floats_of(lanes);
    q->high = (int8_t *)floats_of(lanes);
    q->start = (int32_t *)floats_of(lanes);
    q->scale = floats_of(lanes);
    if (!q->low || !q->high || !q->start || !q->scale) return NO_MEMORY;
    memset(q->low, 0, lanes * 4); /* what is beyond a row is 0 */
    memset(q->high, 0, lanes * 4);
    memset(q->start, 0, lanes * 4);
    memset(q->scale, 0, lanes * 4);
    return OK;
}

static int open_scratch(struct decoder *decoder) {
    const struct decoder_description *is = &decoder->is;
    int32_t widest = is->width > is->heads * is->head_width ? is->width : is->heads * is->head_width;
    for (int32_t i = 0; i < is->layer_count; i++)
        if (is->layers[i].linear[GATE].outer > widest) widest = is->layers[i].linear[GATE].outer;
    decoder->x = floats_of((size_t)is->width);
    decoder->hidden = floats_of((size_t)is->width);
    decoder->qkv = floats_of((size_t)(is->heads + 2 * is->groups) * (size_t)is->head_width);
    decoder->mixed = floats_of((size_t)widest);
    decoder->other = floats_of((size_t)widest);
    decoder->team = team_open(is->threads);
    if (!decoder->x || !decoder->hidden || !decoder->qkv || !decoder->mixed || !decoder->other || !decoder->team)
        return NO_MEMORY;
    decoder->scores = calloc((size_t)team_count(decoder->team), sizeof *decoder->scores);
    if (!decoder->scores) return NO_MEMORY;
    return open_activations(&decoder->q[0], widest) || open_activations(&decoder->q[1], widest);
}

static int has_kernel(int32_t kernel) {
#if defined(__x86_64__)
    return kernel != PORTABLE && nanosmith_supports(kernel) && __builtin_cpu_supports("f16c");
#else
    (void)kernel;
    return 0;
#endif
}

int32_t nanosmith_decoder_open(const struct decoder_description *description, int32_t kernel, struct decoder **opened) {
    if (!description || !opened || !description_fits(description)) return BAD_SHAPE;
    if (!has_kernel(kernel)) return BAD_KERNEL;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) return NO_MEMORY;
    decoder->is = *description;
    decoder->dot = kernel == AVX2 ? dot_avx2 : dot_vnni;
    if (open_scratch(decoder)) {
        nanosmith_decoder_close(decoder);
        return NO_MEMORY;
    }
    *opened = decoder;
    return OK;
}

void nanosmith_decoder_close(struct decoder *decoder) {
    if (!decoder) return;
    for (int32_t i = 0; decoder->scores && i < team_count(decoder->team); i++) free(decoder->scores[i]);
    for (int32_t i = 0; i < 2; i++) {
        free(decoder->q[i].low);
        free(decoder->q[i].high);
        free(decoder->q[i].start);
        free(decoder->q[i].scale);
    }
    team_close(decoder->team);
    free(decoder->scores);
    free(decoder->x);
    free(decoder->hidden);
    free(decoder->qkv);
    free(decoder->mixed);
    free(decoder->other);
    free(decoder->inner);
    free(decoder);
}

/* Room for the scores of a sequence and for what comes between an adapter's matrices. */
static int make_room(struct decoder *decoder, const struct step *step) {
    int32_t rank = 0;
    for (int32_t i = 0; step->adapter && i < decoder->is.layer_count * PLACES; i++)
        rank = step->adapter[i].rank > rank ? step->adapter[i].rank : rank;
    if (2 * rank > decoder->ranks) {
        free(decoder->inner);
        decoder->inner = floats_of((size_t)rank * 2);
        decoder->ranks = decoder->inner ? 2 * rank : 0;
        if (!decoder->inner) return NO_MEMORY;
    }
    if (step->position < decoder->room) return OK;
    decoder->room = 0;
    for (int32_t i = 0; i < team_count(decoder->team); i++) {
        free(decoder->scores[i]);
        decoder->scores[i] = floats_of((size_t)step->position + 1024);
        if (!decoder->scores[i]) return NO_MEMORY;
    }
    decoder->room = step->position + 1024 - 8; /* scores are written eight at a time */
    return OK;
}

int32_t nanosmith_decoder_step(struct decoder *decoder, const struct step *step) {
    if (!decoder || !step || !step->cache || !step->logits) return BAD_SHAPE;
    if (!within(step->token, 0, decoder->is.vocabulary - 1)) return BAD_ID;
    if (!within(step->position, 0, decoder->is.positions - 1) || step->position >= step->room) return BAD_SHAPE;
    if (make_room(decoder, step)) return NO_MEMORY;
    decoder->step = *step;
    decode(decoder);
    return OK;
}

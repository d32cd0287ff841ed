/* One token through the layers, in vectors of AVX2. Products and heads are shared among threads in parts of fixed size;
   the rest takes little time. */
#include "decoder_state.h"
#include "lanes.h"

#include <math.h>
#include <string.h>

#define RANKS 8 /* of a part of an adapter's first matrix */

/* Columns that are one part. */
struct part {
    int32_t first, end;
};

static int32_t parts_of(int32_t count, int32_t size) { return count < size ? 1 : count / size; }

/* Of `count` columns; what is left over goes to the last part. */
static struct part part_of(int32_t count, int32_t size, int32_t part) {
    return (struct part){part * size, part + 1 < parts_of(count, size) ? (part + 1) * size : count};
}

/* Columns of a part, of `count`: some parts for each thread, so that none waits long for another; all for one thread,
   which reads fastest in one go. */
static int32_t size_of(const struct decoder *decoder, int32_t count) {
    const int32_t threads = team_count(decoder->team), size = count / (4 * threads) / 8 * 8;
    return threads == 1 ? count : size < 64 ? 64 : size;
}

INLINE floats halves(const uint16_t *from) { return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)); }

static void normalise(const float *x, const float *scale, int32_t width, float epsilon, float *to) {
    floats squares = {0};
    for (int32_t i = 0; i < width; i += LANES) squares += load(x + i) * load(x + i);
    const float factor = 1.0f / sqrtf(total(squares) / (float)width + epsilon);
    for (int32_t i = 0; i < width; i += LANES) store(to + i, load(x + i) * factor * load(scale + i));
}

/* 32 numbers as bytes, -127 … 127. */
INLINE __m256i bytes_of(const float *x, float inverse) {
    const __m256 by = _mm256_set1_ps(inverse);
    __m256i v[4];
    for (int i = 0; i < 4; i++) v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), by));
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

INLINE void store_block(const struct activations *q, int32_t block, int32_t bits, __m256i bytes, float scale) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    if (bits == 8) {
        _mm256_storeu_si256((__m256i *)(q->low + block * 32), bytes);
        _mm256_storeu_si256((__m256i *)(q->start + block * 8), _mm256_mullo_epi32(fours, _mm256_set1_epi32(-128)));
        store(q->scale + block * 8, all(scale));
        return;
    }
    const __m256i apart = _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 14,
                                           1, 3, 5, 7, 9, 11, 13, 15);
    const __m256i sorted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(bytes, apart), 0xD8);
    _mm_storeu_si128((__m128i *)(q->low + block * 16), _mm256_castsi256_si128(sorted));
    _mm_storeu_si128((__m128i *)(q->high + block * 16), _mm256_extracti128_si256(sorted, 1));
    const __m128i eights = _mm_hadd_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    _mm_storeu_si128((__m128i *)(q->start + block * 4), _mm_mullo_epi32(eights, _mm_set1_epi32(-8)));
    _mm_storeu_ps(q->scale + block * 4, _mm_set1_ps(scale));
}

/* x (inner) in 8 bits, each block with a scale of its own, for weights of `bits`. */
static void quantise(const float *x, int32_t inner, int32_t bits, const struct activations *q) {
    for (int32_t block = 0; block < inner / BLOCK; block++, x += BLOCK) {
        floats highest = {0};
        for (int32_t i = 0; i < BLOCK; i += LANES) highest = larger(highest, larger(load(x + i), -load(x + i)));
        const float range = most(highest);
        store_block(q, block, bits, bytes_of(x, range > 0 ? 127.0f / range : 0.0f), range / 127.0f);
    }
    const int32_t lanes = inner / (bits == 4 ? 8 : 4); /* the rest of the last vector is 0 */
    for (int32_t i = lanes; i % 16; i++) {
        q->start[i] = 0;
        q->scale[i] = 0;
    }
}

/* Numbers of x @ a. */
static void inner(const struct pair *pair, const float *x, int32_t width, struct part part, float *to) {
    for (int32_t r = part.first; r < part.end; r++) {
        const uint16_t *row = pair->a + (size_t)r * (size_t)width;
        floats sums[4] = {{0}};
        for (int32_t i = 0; i < width; i += 4 * LANES)
            for (int j = 0; j < 4; j++) sums[j] += load(x + i + j * LANES) * halves(row + i + j * LANES);
        to[r] = total((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
}

/* out += inner @ b in the columns of a part. */
static void delta(const struct pair *pair, const float *inner, int32_t outer, struct part part, float *out) {
    for (int32_t r = 0; r < pair->rank; r++) {
        const int32_t first = pair->starts[r] > part.first ? pair->starts[r] : part.first;
        const int32_t end = pair->ends[r] < part.end ? pair->ends[r] : part.end;
        const uint16_t *row = pair->b + (size_t)r * (size_t)outer;
        for (int32_t n = first; n < end; n += LANES) store(out + n, load(out + n) + halves(row + n) * inner[r]);
    }
}

/* A layer's linear layers of the same input x: one, or gate and up. */
struct product {
    struct decoder *decoder;
    int32_t layer, place, places;
    const float *x;
    float *outs[2];
};

static const struct pair *pair_of(const struct product *product, int32_t i) {
    const struct pair *adapter = product->decoder->step.adapter;
    if (!adapter) return NULL;
    const struct pair *pair = adapter + product->layer * PLACES + product->place + i;
    return pair->rank ? pair : NULL;
}

static const struct block_linear *linear_of(const struct product *product, int32_t i) {
    return &product->decoder->is.layers[product->layer].linear[product->place + i];
}

static float *inner_of(const struct product *product, int32_t i) {
    return product->decoder->inner + i * (product->decoder->ranks / 2);
}

static struct activations *activations_of(struct decoder *decoder, int32_t bits) { return &decoder->q[bits == 8]; }

/* gate * sigmoid(gate) * up (Shazeer 2020, SwiGLU) in place of `gate`. */
static void gated(float *gate, const float *up, struct part part) {
    for (int32_t i = part.first; i < part.end; i += LANES) {
        const floats g = load(gate + i), e = exponential(smaller(g, -g));
        const floats larger_part = 1.0f / (1.0f + e);
        const ints positive = (ints)(g > all(0.0f));
        const floats sigmoid = (floats)(((ints)larger_part & positive) | ((ints)(e * larger_part) & ~positive));
        store(gate + i, g * sigmoid * load(up + i));
    }
}

static void inner_part(void *given, int32_t number, int32_t index) {
    const struct product *product = given;
    (void)index;
    for (int32_t i = 0; i < product->places; i++) {
        const struct pair *pair = pair_of(product, i);
        if (!pair || number >= parts_of(pair->rank, RANKS)) continue;
        inner(pair, product->x, linear_of(product, i)->inner, part_of(pair->rank, RANKS, number), inner_of(product, i));
    }
}

static void columns_part(void *given, int32_t number, int32_t index) {
    const struct product *product = given;
    struct decoder *decoder = product->decoder;
    const int32_t count = linear_of(product, 0)->outer;
    const struct part part = part_of(count, size_of(decoder, count), number);
    (void)index;
    for (int32_t i = 0; i < product->places; i++) {
        const struct block_linear *linear = linear_of(product, i);
        const struct pair *pair = pair_of(product, i);
        decoder->dot(linear, activations_of(decoder, linear->bits), part.first, part.end, product->outs[i]);
        if (pair) delta(pair, inner_of(product, i), linear->outer, part, product->outs[i]);
    }
    if (product->places == 2) gated(product->outs[0], product->outs[1], part);
}

static void project(const struct product *product) {
    struct decoder *decoder = product->decoder;
    int32_t parts = 0;
    for (int32_t i = 0; i < product->places; i++) {
        const struct block_linear *linear = linear_of(product, i);
        const struct pair *pair = pair_of(product, i);
        if (i == 0 || linear->bits != linear_of(product, 0)->bits)
            quantise(product->x, linear->inner, linear->bits, activations_of(decoder, linear->bits));
        if (pair && parts_of(pair->rank, RANKS) > parts) parts = parts_of(pair->rank, RANKS);
    }
    team_share(decoder->team, inner_part, (void *)product, parts);
    const int32_t count = linear_of(product, 0)->outer;
    team_share(decoder->team, columns_part, (void *)product, parts_of(count, size_of(decoder, count)));
}

/* Turns the two halves of a head by its position's angles (Su et al. 2021, RoFormer). */
static void rotate(const struct decoder *decoder, const float *x, float *to) {
    const int32_t half = decoder->is.head_width / 2;
    const size_t at = (size_t)decoder->step.position * (size_t)half;
    const float *cosine = decoder->is.cosine + at, *sine = decoder->is.sine + at;
    for (int32_t i = 0; i < half; i += LANES) {
        const floats one = load(x + i), two = load(x + half + i), c = load(cosine + i), s = load(sine + i);
        store(to + i, one * c - two * s);
        store(to + half + i, two * c + one * s);
    }
}

INLINE float product_of(const float *a, const float *b, int32_t count) {
    floats sums[2] = {{0}};
    for (int32_t i = 0; i < count; i += 2 * LANES) {
        sums[0] += load(a + i) * load(b + i);
        sums[1] += load(a + i + LANES) * load(b + i + LANES);
    }
    return total(sums[0] + sums[1]);
}

/* Scores in place become weights that sum to 1; `count` numbers, room for a multiple of 8. */
static void soften(float *scores, int32_t count) {
    float highest = scores[0], sum = 0;
    for (int32_t t = 1; t < count; t++) highest = scores[t] > highest ? scores[t] : highest;
    for (int32_t t = count; t % LANES; t++) scores[t] = highest - 200.0f;
    for (int32_t t = 0; t < count; t += LANES) store(scores + t, exponential(load(scores + t) - highest));
    for (int32_t t = 0; t < count; t++) sum += scores[t];
    for (int32_t t = 0; t < count; t += LANES) store(scores + t, load(scores + t) / sum);
}

/* to = weights (count) @ values (count, width). */
static void mix(const float *weights, const float *values, int32_t count, int32_t width, const float *last, float *to) {
    for (int32_t i = 0; i < width; i += 2 * LANES) {
        floats sums[2] = {{0}};
        for (int32_t t = 0; t < count; t++) {
            const float *row = values + (size_t)t * (size_t)width + i;
            sums[0] += load(row) * weights[t];
            sums[1] += load(row + LANES) * weights[t];
        }
        store(to + i, sums[0] + load(last + i) * weights[count]);
        store(to + i + LANES, sums[1] + load(last + i + LANES) * weights[count]);
    }
}

/* A layer's attention. */
struct attention {
    struct decoder *decoder;
    int32_t layer;
};

/* One head. The present token's key and value come from `qkv`; the first head of a group writes them to the cache. */
static void attend(void *given, int32_t head, int32_t index) {
    const struct attention *attention = given;
    struct decoder *decoder = attention->decoder;
    const struct decoder_description *is = &decoder->is;
    const struct step *step = &decoder->step;
    const int32_t width = is->head_width, each = is->heads / is->groups, group = head / each;
    const size_t room = (size_t)step->room * (size_t)width;
    float *keys = step->cache + ((size_t)attention->layer * 2 * (size_t)is->groups + (size_t)group) * room;
    float *values = keys + (size_t)is->groups * room, *scores = decoder->scores[index];
    const float *value = decoder->qkv + (size_t)(is->heads + is->groups + group) * (size_t)width;
    float query[MAX_HEAD], key[MAX_HEAD];
    rotate(decoder, decoder->qkv + (size_t)head * (size_t)width, query);
    rotate(decoder, decoder->qkv + (size_t)(is->heads + group) * (size_t)width, key);
    for (int32_t t = 0; t < step->position; t++)
        scores[t] = product_of(query, keys + (size_t)t * (size_t)width, width) * is->scale;
    scores[step->position] = product_of(query, key, width) * is->scale;
    soften(scores, step->position + 1);
    mix(scores, values, step->position, width, value, decoder->mixed + (size_t)head * (size_t)width);
    if (head % each) return;
    memcpy(keys + (size_t)step->position * (size_t)width, key, (size_t)width * sizeof(float));
    memcpy(values + (size_t)step->position * (size_t)width, value, (size_t)width * sizeof(float));
}

/* hidden += y of one layer of the input `mixed`. */
static void project_and_add(struct decoder *decoder, int32_t layer, int32_t place) {
    project(&(struct product){decoder, layer, place, 1, decoder->mixed, {decoder->other}});
    for (int32_t i = 0; i < decoder->is.width; i += LANES)
        store(decoder->hidden + i, load(decoder->hidden + i) + load(decoder->other + i));
}

static void decode_layer(struct decoder *decoder, int32_t layer) {
    const struct decoder_description *is = &decoder->is;
    const struct decoder_layer *weights = &is->layers[layer];
    normalise(decoder->hidden, weights->norm1, is->width, is->epsilon, decoder->x);
    project(&(struct product){decoder, layer, QKV, 1, decoder->x, {decoder->qkv}});
    team_share(decoder->team, attend, &(struct attention){decoder, layer}, is->heads);
    project_and_add(decoder, layer, OUT);
    normalise(decoder->hidden, weights->norm2, is->width, is->epsilon, decoder->x);
    project(&(struct product){decoder, layer, GATE, 2, decoder->x, {decoder->mixed, decoder->other}});
    project_and_add(decoder, layer, DOWN);
}

static void head_part(void *given, int32_t number, int32_t index) {
    struct decoder *decoder = given;
    const struct block_linear *head = &decoder->is.head;
    const struct part part = part_of(head->outer, size_of(decoder, head->outer), number);
    (void)index;
    decoder->dot(head, activations_of(decoder, head->bits), part.first, part.end, decoder->step.logits);
}

/* The token's row of the embeddings, or of the head where they are the same. */
static void embed(struct decoder *decoder) {
    const int32_t width = decoder->is.width;
    const size_t token = (size_t)decoder->step.token;
    if (decoder->is.words) {
        memcpy(decoder->hidden, decoder->is.words + token * (size_t)width, (size_t)width * sizeof(float));
        return;
    }
    const struct block_linear *head = &decoder->is.head;
    const uint8_t *bytes = head->weight + token * (size_t)width * (size_t)head->bits / 8;
    for (int32_t i = 0; i < width; i++) {
        const int32_t number = head->bits == 8 ? bytes[i] - 128 : ((bytes[i / 2] >> (i % 2 * 4)) & 15) - 8;
        decoder->hidden[i] = (float)number * head->scale[token * (size_t)(width / BLOCK) + (size_t)(i / BLOCK)];
    }
}

void decode(struct decoder *decoder) {
    const struct decoder_description *is = &decoder->is;
    team_wake(decoder->team);
    embed(decoder);
    for (int32_t layer = 0; layer < is->layer_count; layer++) decode_layer(decoder, layer);
    normalise(decoder->hidden, is->norm, is->width, is->epsilon, decoder->x);
    quantise(decoder->x, is->width, is->head.bits, activations_of(decoder, is->head.bits));
    team_share(decoder->team, head_part, decoder, parts_of(is->head.outer, size_of(decoder, is->head.outer)));
}

/* Small decoders of random weights: the same bits with any number of threads, nearly the same with any kernel, and wrong
   steps are refused. */
#include "check.h"
#include "decoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 96, HEADS = 6, GROUPS = 2, HEAD = 16, INNER = 160, VOCABULARY = 101, ROOM = 40, RANK = 3, LAYERS = 2 };
enum { QKV = (HEADS + 2 * GROUPS) * HEAD };

static float some_float(float size) { return ((float)rand() / (float)RAND_MAX - 0.5f) * 2 * size; }

static float *some_floats(size_t count, float size) {
    float *found = malloc(count * sizeof *found);
    for (size_t i = 0; i < count; i++) found[i] = some_float(size);
    return found;
}

static struct block_linear some_linear(int32_t inner, int32_t outer, int32_t bits) {
    const size_t bytes = (size_t)inner * (size_t)outer * (size_t)bits / 8;
    uint8_t *weight = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) weight[i] = (uint8_t)rand();
    const float size = (bits == 4 ? 0.2f : 0.0125f) / sqrtf((float)inner);
    return (struct block_linear){inner, outer, bits, weight, some_floats((size_t)outer * (size_t)inner / BLOCK, size)};
}

static struct decoder_description some_decoder(int32_t bits) {
    struct decoder_layer *layers = calloc(LAYERS, sizeof *layers);
    for (int32_t i = 0; i < LAYERS; i++) {
        layers[i] = (struct decoder_layer){
            {some_linear(WIDTH, QKV, bits), some_linear(HEADS * HEAD, WIDTH, bits), some_linear(WIDTH, INNER, bits),
             some_linear(WIDTH, INNER, 12 - bits), some_linear(INNER, WIDTH, bits)},
            some_floats(WIDTH, 1), some_floats(WIDTH, 1)};
    }
    return (struct decoder_description){
        .vocabulary = VOCABULARY, .width = WIDTH, .layer_count = LAYERS, .heads = HEADS, .groups = GROUPS,
        .head_width = HEAD, .positions = ROOM, .threads = 1, .epsilon = 1e-5f, .scale = 0.25f,
        .words = bits == 4 ? NULL : some_floats(VOCABULARY * WIDTH, 1), .cosine = some_floats(ROOM * HEAD / 2, 1),
        .sine = some_floats(ROOM * HEAD / 2, 1), .norm = some_floats(WIDTH, 1),
        .head = some_linear(WIDTH, VOCABULARY, bits), .layers = layers};
}

/* Of the first layer's places; the second has none. */
static struct pair *some_adapter(const struct decoder_description *is) {
    struct pair *pairs = calloc(LAYERS * PLACES, sizeof *pairs);
    for (int32_t place = 0; place < PLACES; place++) {
        const struct block_linear *linear = &is->layers[0].linear[place];
        uint16_t *a = malloc(RANK * (size_t)linear->inner * 2), *b = malloc(RANK * (size_t)linear->outer * 2);
        int32_t *starts = calloc(RANK, sizeof *starts), *ends = calloc(RANK, sizeof *ends);
        for (int32_t i = 0; i < RANK * linear->inner; i++) a[i] = (uint16_t)(0x2c00 + rand() % 1024); /* 1/16 … 1/8 */
        for (int32_t i = 0; i < RANK * linear->outer; i++) b[i] = (uint16_t)(0xac00 + rand() % 1024);
        for (int32_t r = 0; r < RANK; r++) ends[r] = r ? linear->outer : 8;
        pairs[place] = (struct pair){RANK, a, b, starts, ends};
    }
    return pairs;
}

/* The logits of the last of ROOM steps, and all keys and values. */
static void run(struct decoder_description is, int32_t kernel, int32_t threads, const struct pair *adapter, float *out,
                float *cache) {
    struct decoder *decoder = NULL;
    is.threads = threads;
    CHECK(nanosmith_decoder_open(&is, kernel, &decoder) == OK, "kernel %d does not open", kernel);
    for (int32_t t = 0; decoder && t < ROOM; t++) {
        const struct step step = {t * 7 % VOCABULARY, t, ROOM, cache, out, adapter};
        CHECK(nanosmith_decoder_step(decoder, &step) == OK, "step %d fails", t);
    }
    nanosmith_decoder_close(decoder);
}

static void check_equal(const struct decoder_description *is, const struct pair *adapter) {
    enum { CACHE = LAYERS * 2 * GROUPS * ROOM * HEAD };
    static float logits[3][VOCABULARY], caches[3][CACHE];
    for (int32_t threads = 1; threads <= 3; threads++)
        run(*is, AVX2, threads, adapter, logits[threads - 1], caches[threads - 1]);
    for (int32_t i = 1; i < 3; i++) {
        CHECK(!memcmp(logits[0], logits[i], sizeof *logits), "%d threads give other logits", i + 1);
        CHECK(!memcmp(caches[0], caches[i], sizeof *caches), "%d threads give other keys or values", i + 1);
    }
    if (!nanosmith_supports(AVX512_VNNI)) return;
    run(*is, AVX512_VNNI, 2, adapter, logits[1], caches[1]);
    double apart = 0, size = 0;
    for (int32_t i = 0; i < VOCABULARY; i++) apart += fabsf(logits[0][i] - logits[1][i]), size += fabsf(logits[0][i]);
    CHECK(apart < 0.02 * size, "kernels differ by %g of %g", apart, size);
}

static void check_refused(const struct decoder_description *is) {
    struct decoder *decoder = NULL;
    static float logits[VOCABULARY], cache[LAYERS * 2 * GROUPS * ROOM * HEAD];
    const struct step right = {0, 0, ROOM, cache, logits, NULL};
    struct step wrong[] = {right, right, right, right, right};
    wrong[0].token = VOCABULARY;
    wrong[1].token = -1;
    wrong[2].position = ROOM;
    wrong[3].position = -1;
    wrong[4].room = 0;
    CHECK(nanosmith_decoder_open(is, AVX2, &decoder) == OK, "does not open");
    for (int32_t i = 0; i < 5; i++) CHECK(nanosmith_decoder_step(decoder, &wrong[i]) != OK, "wrong step %d", i);
    nanosmith_decoder_close(decoder);
    struct decoder_description bad[] = {*is, *is, *is, *is};
    bad[0].heads = 5;
    bad[1].head_width = 24;
    bad[2].head.bits = 5;
    bad[3].width = 64;
    for (int32_t i = 0; i < 4; i++)
        CHECK(nanosmith_decoder_open(&bad[i], AVX2, &decoder) == BAD_SHAPE, "wrong decoder %d", i);
    CHECK(nanosmith_decoder_open(is, PORTABLE, &decoder) == BAD_KERNEL, "there is no portable one");
}

void check_decoders(void) {
    for (int32_t bits = 4; bits <= 8; bits += 4) {
        const struct decoder_description is = some_decoder(bits);
        check_equal(&is, NULL);
        check_equal(&is, some_adapter(&is));
        check_refused(&is);
    }
}
